"""What people put right or confirmed on an image, kept with its record so that it goes wherever that goes.

A label file says what it says, and is not written to. What a person says against it stands in the record's
fields, and beside it, in the metadata under one key of our own, what the file had said: so the next `index`
knows that the difference is wanted. It holds for the same picture, and for as long as the file says the same;
where the file says something else by then, or the picture is another, whoever changed that knew more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from lookalike.errors import ImageNotFound, InvalidArgument
from lookalike.file_names import display
from lookalike.labels.labelling import Label
from lookalike.stores.checks import check_fields
from lookalike.types import CAPTURED, OWN_KEY, Record
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.stores.store import Store
    from lookalike.types import Fields, Scalar

MOST_FIELDS = 1_000
"""Of one image."""
LONGEST_NAME = 10_000
"""Characters in the name of a field."""
LONGEST_VALUE = 100_000
"""Characters in a string."""
# Records that are read or written at once.
_BATCH = 1_000

_PARTS = frozenset(
    {"name", "corrected", "confirmed", "delivered", "moved_from", "sampling", "frames", CAPTURED}
)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is kept of a record beside its labels."""

    name: str | None = None
    """What the file was called by whoever added it; None where it was indexed."""
    corrected: Mapping[str, Scalar | None] = field(default_factory=dict)
    """Fields that a person has put right, with the value that was delivered; None: there was none."""
    confirmed: Mapping[str, Scalar] = field(default_factory=dict)
    """Fields that a person has looked at and found right, with that value."""
    moved_from: str | None = None
    """The id that the record had while its file was elsewhere, until that record is removed."""
    captured: Mapping[str, str] = field(default_factory=dict)
    """When and by which camera the picture was taken: `time` and `camera`; empty where it does not tell."""
    sampling: str | None = None
    """Of a frame, how the frames of its film were chosen."""
    frames: int | None = None
    """Of the first frame of a film, how many its film has: it is written last, when all are there."""


NO_MARKS = Marks()


def marks_of(record: Record) -> Marks:
    """Return what is kept of a record beside its labels."""
    kept = record.metadata.get(OWN_KEY)
    if not _is_ours(kept):
        return NO_MARKS
    name = kept.get("name")
    confirmed = {one: value for one, value in _scalars(kept.get("confirmed")).items() if value is not None}
    origin = kept.get("moved_from")
    return Marks(
        name if isinstance(name, str) else None,
        _scalars(kept.get("corrected")),
        confirmed,
        origin if isinstance(origin, str) else None,
        {one: value for one, value in _scalars(kept.get(CAPTURED)).items() if isinstance(value, str)},
        sampling if isinstance(sampling := kept.get("sampling"), str) else None,
        frames if isinstance(frames := kept.get("frames"), int) else None,
    )


def is_confirmed(record: Record, by: str) -> bool:
    """Tell whether a person has found right what a record has in a field."""
    return by in _still(marks_of(record).confirmed, record.fields)


def delivered(record: Record) -> Label:
    """Return the labels of a record as they were delivered, without what people said against them."""
    fields = dict(record.fields)
    for name, before in marks_of(record).corrected.items():
        _set(fields, name, before)
    metadata = dict(record.metadata)
    kept = metadata.get(OWN_KEY)
    if _is_ours(kept):
        del metadata[OWN_KEY]
        if "delivered" in kept:
            metadata[OWN_KEY] = kept["delivered"]
    return Label(fields, metadata)


def stored(label: Label, marks: Marks = NO_MARKS) -> Label:
    """Return labels as a record has them: with what is kept beside them.

    Args:
        label: the fields as they are to be, the metadata as it was delivered.
        marks: what to keep.
    """
    if marks == NO_MARKS and OWN_KEY not in label.metadata:
        return label
    metadata = dict(label.metadata)
    own: dict[str, Any] = {}
    if OWN_KEY in metadata:
        own["delivered"] = metadata.pop(OWN_KEY)
    if marks.name is not None:
        own["name"] = marks.name
    if marks.corrected:
        own["corrected"] = dict(marks.corrected)
    if marks.confirmed:
        own["confirmed"] = dict(marks.confirmed)
    if marks.moved_from is not None:
        own["moved_from"] = marks.moved_from
    if marks.captured:
        own[CAPTURED] = dict(marks.captured)
    if marks.sampling is not None:
        own["sampling"] = marks.sampling
    if marks.frames is not None:
        own["frames"] = marks.frames
    return Label(label.fields, {**metadata, OWN_KEY: own})


def corrected(record: Record, changes: Mapping[str, Scalar | None], confirm: Iterable[str] = ()) -> Label:
    """Return what a record gets when a person puts its labels right.

    Args:
        record: as it is.
        changes: new values by the name of the field; None removes it. A field that gets the value back that
            was delivered is not a corrected one any more.
        confirm: fields that are right as they are, or as `changes` has them. A confirmation ends when the
            field changes.

    Raises:
        InvalidArgument: a field to confirm has no value, or the labels are more than an image may have.
    """
    marks, label = marks_of(record), delivered(record)
    fields, put_right = dict(record.fields), dict(marks.corrected)
    for name, value in changes.items():
        before = label.fields.get(name)
        if _same(value, before):
            put_right.pop(name, None)
            _set(fields, name, before)
        else:
            put_right[name] = before
            _set(fields, name, value)
    confirmed = _still(marks.confirmed, fields)
    for name in confirm:
        if name not in fields:
            raise InvalidArgument(f"the image has no field {display(name[:64])!r} that could be confirmed")
        confirmed[name] = fields[name]
    # What was delivered may be more than a person may say.
    check_labels({name: value for name, value in changes.items() if value is not None})
    check_count(fields, len(record.fields))
    kept = replace(marks, corrected=put_right, confirmed=confirmed)
    return stored(Label(fields, label.metadata), kept)


def delivered_again(record: Record, label: Label, name: str | None = None) -> tuple[Label, bool]:
    """Return what a record gets when its labels are delivered once more.

    Args:
        record: as it is, of the same picture.
        label: what is delivered now. Where it says the same of a field as when that was put right, the
            correction stays; else what is delivered counts.
        name: what the file is called by whoever adds it; None: as before.

    Returns:
        The labels, and whether something that a person had said was given up for them.
    """
    marks = marks_of(record)
    fields = dict(label.fields)
    put_right: dict[str, Scalar | None] = {}
    given_up = False
    for field_name, before in marks.corrected.items():
        now, better = label.fields.get(field_name), record.fields.get(field_name)
        if _same(now, before):
            put_right[field_name] = now
            _set(fields, field_name, better)
        elif not _same(now, better):
            given_up = True
    confirmed = _still(marks.confirmed, fields)
    given_up = given_up or len(confirmed) < len(marks.confirmed)
    known = marks.name if name is None else name
    kept = replace(marks, name=known, corrected=put_right, confirmed=confirmed)
    return stored(Label(fields, label.metadata), kept), given_up


def indexed_again(record: Record, label: Label, digest: str) -> tuple[Label, bool]:
    """Return what a record gets when its file is indexed once more.

    Args:
        record: as it is.
        label: what the label files say now. They say nothing of a picture that was added by a person, and
            its labels stay as they are.
        digest: of the file as it is now. What was said of another picture does not hold for it.

    Returns:
        The labels, and whether something that a person had said was given up for them.
    """
    marks = marks_of(record)
    if record.digest != digest:
        return stored(label), bool(marks.corrected or marks.confirmed)
    if marks.name is not None:
        return Label(record.fields, record.metadata), False
    return delivered_again(record, label)


def moved(label: Label, origin: str | None) -> Label:
    """Return labels as a record has them, with a note of where it came from, or without one.

    Args:
        label: as a record has them.
        origin: the id of the record that is to be removed; None: there is none any more.
    """
    return _marked(label, moved_from=origin)


def with_capture(label: Label, captured: Mapping[str, str]) -> Label:
    """Return labels as a record has them, with a note of when and by what the picture was taken."""
    return _marked(label, captured=captured) if captured else label


def with_sampling(label: Label, sampling: str, frames: int | None) -> Label:
    """Return labels as the record of a frame has them, with a note of how the frames were chosen.

    Args:
        label: as a record has them.
        sampling: as `Sampling` writes itself.
        frames: of the film, where it is its first one.
    """
    return _marked(label, sampling=sampling, frames=frames)


def _marked(label: Label, **changes: Any) -> Label:
    before = Record("", "", "", label.fields, label.metadata, 0, 0)
    return stored(Label(label.fields, delivered(before).metadata), replace(marks_of(before), **changes))


def check_labels(fields: Fields) -> None:
    """Refuse labels that no image may have.

    Raises:
        InvalidArgument: a value that stores refuse, too long a name or string, a field without a name, or
            too many fields.
    """
    check_count(fields)
    for name, value in fields.items():
        if not name:
            raise InvalidArgument("a field needs a name")
        if len(name) > LONGEST_NAME:
            raise InvalidArgument(f"the name of a field has at most {LONGEST_NAME:,} characters")
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            raise InvalidArgument(
                f"field {display(name[:64])!r}: a string has at most {LONGEST_VALUE:,} characters"
            )
    check_fields("of this request", fields)


def check_count(fields: Fields, before: int = 0) -> None:
    """Refuse more fields than an image may have.

    Args:
        fields: all of an image.
        before: fields that it had; so many it may keep.

    Raises:
        InvalidArgument: there are too many.
    """
    if len(fields) > max(MOST_FIELDS, before):
        raise InvalidArgument(f"{len(fields):,} fields; an image may have {MOST_FIELDS:,}")


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says of one image."""

    id: str
    """Of its record."""
    fields: Mapping[str, Scalar | None] = field(default_factory=dict)
    """New values; None removes a field."""
    confirm: Sequence[str] = ()
    """Fields that are right as they are, or as `fields` has them."""
    undo: Sequence[str] = ()
    """Fields that get back what was delivered."""


class Corrected(NamedTuple):
    """A record before and after a correction, which may say nothing new."""

    before: Record
    after: Record

    @property
    def changes(self) -> dict[str, tuple[Scalar | None, Scalar | None]]:
        """What the fields were and are that differ; None stands for no value."""
        names = sorted({*self.before.fields, *self.after.fields})
        pairs = {name: (self.before.fields.get(name), self.after.fields.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if not _same(*pair)}

    @property
    def confirmed(self) -> list[str]:
        """Fields that are confirmed now and were not before, or not with this value."""
        before = _still(marks_of(self.before).confirmed, self.after.fields)
        return sorted(name for name in marks_of(self.after).confirmed if name not in before)


def correct_all(
    store: Store, name: str, corrections: Iterable[Correction], *, dry_run: bool = False
) -> list[Corrected]:
    """Put the labels of images right, or confirm them; their vectors and the fit stay as they were.

    Nothing is written before all were found right. Reading and writing are two steps; who calls this keeps
    two apart (`locks.only_one`), else the later one's word would hold for all fields of an image.

    Args:
        store: where the collection lives.
        name: the collection.
        corrections: at most one for each image.
        dry_run: only tell what would become of them.

    Returns:
        The records as they were and as they are now, in order.

    Raises:
        CollectionNotFound: there is none of that name.
        ImageNotFound: no record has one of the ids.
        InvalidArgument: two corrections of one image; or see `corrected`.
    """
    wanted = list(corrections)
    if len({each.id for each in wanted}) < len(wanted):
        raise InvalidArgument("an image is corrected once at a time: put together what is said of it")
    found: list[Corrected] = []
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        records = {record.id: record for record in store.get(name, [each.id for each in batch])}
        for each in batch:
            if each.id not in records:
                raise ImageNotFound(store.collection(name).name, each.id)
            before = records[each.id]
            as_delivered = delivered(before).fields
            changes = {**{undone: as_delivered.get(undone) for undone in each.undo}, **each.fields}
            label = corrected(before, changes, each.confirm)
            found.append(Corrected(before, replace(before, fields=label.fields, metadata=label.metadata)))
    new = [
        (each.after.id, each.after.fields, each.after.metadata) for each in found if each.before != each.after
    ]
    for start in range(0, 0 if dry_run else len(new), _BATCH):
        store.relabel(name, new[start : start + _BATCH])
    return found


def correct(
    store: Store,
    name: str,
    identity: str,
    changes: Mapping[str, Scalar | None],
    confirm: Sequence[str] = (),
) -> Record:
    """Put the labels of one image right, or confirm them, and return its record: see `correct_all`."""
    return correct_all(store, name, [Correction(identity, changes, confirm)])[0].after


def _set(fields: dict[str, Scalar], name: str, value: Scalar | None) -> None:
    if value is None:
        fields.pop(name, None)
    else:
        fields[name] = value


def _same(one: Scalar | None, other: Scalar | None) -> bool:
    """Tell whether two values are the same label, or both none."""
    if one is None or other is None:
        return one is other
    return label_key(one) == label_key(other)


def _still(confirmed: Mapping[str, Scalar], fields: Fields) -> dict[str, Scalar]:
    """Return those confirmations that the fields still have the value of."""
    return {name: value for name, value in confirmed.items() if _same(fields.get(name), value)}


def _is_ours(kept: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether it is what `stored` writes; a label file may have had that key before it was ours."""
    return isinstance(kept, dict) and bool(kept) and kept.keys() <= _PARTS


def _scalars(kept: object) -> dict[str, Any]:
    if not isinstance(kept, dict):
        return {}
    return {
        name: value for name, value in kept.items() if value is None or isinstance(value, str | int | float)
    }
