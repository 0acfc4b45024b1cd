"""The command label: puts labels right, of some images or from a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, collection_option, format_option, global_options, read_names
from lookalike.cli.output import (
    SHOWN,
    print_line,
    print_rest,
    print_table,
    print_text,
    record_line,
    short_name,
    short_path,
    text_of,
)
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.label_normalisation import kept_name, label_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.collection import Collection
    from lookalike.metric_learning.correction_table import CorrectionTable
    from lookalike.metric_learning.corrections import Corrected
    from lookalike.types import Scalar


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@collection_option
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="FIELD=VALUE",
    help="The value that a field of these images is to have. May be given several times.",
)
@click.option("--unset", multiple=True, metavar="FIELD", help="Remove a field of these images.")
@click.option("--confirm", multiple=True, metavar="FIELD", help="A field that is right as it is.")
@click.option(
    "--undo", multiple=True, metavar="FIELD", help="Give a field back the value that was delivered."
)
@click.option(
    "--from",
    "table",
    metavar="TABLE",
    help="Take images and values from a table (CSV, TSV, JSON Lines, Parquet; a file or s3://bucket/key): a "
    "row for each image, which one column names by its path or id.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME",
    help="Take only this column of the table, which may be a new field. [default: all that are fields of the "
    "collection]",
)
@click.option("--encoding", metavar="NAME", help="The encoding of a table that is no Unicode; see `index`.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@format_option
@global_options
def label(
    settings: Settings,
    images: tuple[str, ...],
    collection: str,
    values: tuple[str, ...],
    unset: tuple[str, ...],
    confirm: tuple[str, ...],
    undo: tuple[str, ...],
    table: str | None,
    fields: tuple[str, ...],
    encoding: str | None,
    form: str,
    *,
    dry_run: bool,
) -> int:
    """Put the labels of IMAGEs right, or confirm them.

    Indexing again keeps to that. An IMAGE is a path, an id or a URI, or what an attached table calls its
    picture; a film means all of its frames, and `-` reads names from stdin, one a line. Label files are not
    written to, and a fit stays as it is until the next.
    """
    if (table is None) == (not images):
        raise InvalidArgument("name the images whose labels are to be put right, or a table: --from TABLE")
    if table is None and (fields or encoding):
        raise InvalidArgument("--field and --encoding are about a table: --from TABLE")
    if table is not None and (values or unset or undo):
        raise InvalidArgument(
            "what the images of a table are to have stands in it: no --set, --unset or --undo"
        )
    if table is None and not (values or unset or confirm or undo):
        raise InvalidArgument("say what is right: --set FIELD=VALUE, --unset, --confirm or --undo FIELD")
    from lookalike.metric_learning.corrections import Correction

    with settings.open() as database:
        handle = database[collection]
        if table is None:
            said = _of_images(handle, images, values, unset, confirm, undo)
        else:
            said = handle.corrections.read(table, fields=fields, encoding=encoding)
            info = handle.info()
            kept = tuple(kept_name(name, info) for name in confirm)
            said.corrections[:] = [Correction(each.id, each.fields, kept) for each in said.corrections]
        done = handle.corrections.apply(said.corrections, dry_run=dry_run)
        name = handle.info().name
    (_print_lines if form == "jsonl" else _print)(name, done, said, dry_run=dry_run)
    return 0 if said.corrections else 1


def _of_images(
    handle: Collection,
    images: tuple[str, ...],
    values: Sequence[str],
    unset: Sequence[str],
    confirm: Sequence[str],
    undo: Sequence[str],
) -> CorrectionTable:
    """Return what the options say of the images that are named."""
    from lookalike.labels.tables.column_types import typed
    from lookalike.metric_learning.correction_table import CorrectionTable, like_others, new_values
    from lookalike.metric_learning.corrections import Correction, marks_of
    from lookalike.types import Remark

    info, known = handle.info(), handle.values()
    changes: dict[str, Scalar | None] = {}
    said: list[str] = []
    remarks = []
    for each in values:
        field, equals, text = each.partition("=")
        field = kept_name(label_text(field), info)
        value = typed([label_text(text)])[0]
        if not equals or not field or value is None:
            raise InvalidArgument(f"--set {each!r}: write FIELD=VALUE; --unset FIELD removes a field")
        others = [each.value for each in known.get(field, ())]
        said.append(field)
        changes[field] = value = like_others(value, others)
        if unheard := new_values(field, [value], others):
            remarks.append(Remark("", unheard))
    confirmed, removed, undone = (
        [kept_name(field, info) for field in several] for several in (confirm, unset, undo)
    )
    said += removed + undone
    if twice := [field for field, count in Counter(said).items() if count > 1]:
        raise InvalidArgument(f"{display(twice[0])} is named twice: one --set, --unset or --undo for a field")
    changes |= dict.fromkeys(removed)
    try:
        wanted = handle.records.find_all(read_names(images))
    except InvalidArgument as error:
        raise InvalidArgument(f"{error}; nothing was changed") from error
    there = {record.id: marks_of(record).corrected for record in handle.records.get(wanted)}
    remarks += [
        Remark("", f"no image has a field {display(field)}")
        for field in removed + undone
        if field not in known and not any(field in marks for marks in there.values())
    ]
    return CorrectionTable(
        [Correction(identity, changes, confirmed, undone) for identity in wanted], [], remarks
    )


def _counts(done: Sequence[Corrected], said: CorrectionTable) -> dict[str, int]:
    return {
        "put_right": sum(bool(each.changes) for each in done),
        "confirmed": sum(bool(each.confirmed) for each in done),
        "unchanged": sum(not each.changes and not each.confirmed for each in done),
        "skipped": len(said.skipped),
    }


def _print(name: str, done: Sequence[Corrected], said: CorrectionTable, *, dry_run: bool) -> None:
    words = {"put_right": "put right", "skipped": "skipped"}
    counts = ", ".join(
        f"{count:,} {words.get(what, what)}" for what, count in _counts(done, said).items() if count
    )
    print_text(f"{name}: {counts}" + ("; this was a dry run, and nothing was changed" if dry_run else ""))
    for remark in said.remarks:
        print_text(f"{short_name(remark.path)}: {remark.text}" if remark.path else remark.text)
    rows = [
        (
            short_path(each.after.uri),
            field,
            "" if was is None else text_of(was),
            "" if now is None else text_of(now),
        )
        for each in done
        for field, (was, now) in each.changes.items()
    ]
    changes = Counter(row[1:] for row in rows)
    if changes:
        print_table(
            ("field", "was", "is", "images"), [(*change, count) for change, count in changes.most_common()]
        )
        print_table(("image", "field", "was", "is"), rows[:SHOWN])
        print_rest(len(rows), SHOWN)
    if said.skipped:
        print_table(
            ("skipped", "because"),
            [(short_name(each.path), each.reason) for each in said.skipped[:SHOWN]],
        )
        print_rest(len(said.skipped), SHOWN)


def _print_lines(name: str, done: Sequence[Corrected], said: CorrectionTable, *, dry_run: bool) -> None:
    for skipped in said.skipped:
        print_line({"type": "skipped", **asdict(skipped)})
    for remark in said.remarks:
        print_line({"type": "remark", **asdict(remark)})
    for each in done:
        if each.changes or each.confirmed:
            was = {field: pair[0] for field, pair in each.changes.items()}
            print_line(
                {"type": "corrected", **record_line(each.after), "was": was, "confirmed": each.confirmed}
            )
    counts = _counts(done, said)
    print_line({"type": "summary", "collection": name, "images": len(done), **counts, "dry_run": dry_run})
