"""Labels of images and where they were read, and the rule for several labels of one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.file_names import display
from lookalike.label_normalisation import labels_digest
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.sources.objects import Location
    from lookalike.types import Fields, Metadata, Remark


class Unusable(Exception):
    """One label that cannot be used; its text becomes the reason of a `Skipped`. Stays in this package."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one image."""

    fields: Fields
    metadata: Metadata
    """As it was delivered."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """The labels of all images below one root, with all that could not be used."""

    mode: str
    """The mode that was used: folders, json, table, xml, yolo or none; never auto."""
    labels: dict[Location, Label]
    """By image, in the order in which the images were given."""
    skipped: list[Skipped]
    """Labels that could not be used, by path."""
    unlabelled: list[Location]
    """Images without a label, in the order in which they were given."""
    told_apart: list[Location]
    """Images of a name that others have too, whose label found them by their directories, in that order."""
    remarks: list[Remark] = field(default_factory=list)
    """What was assumed, and what a person should look at."""
    expected: bool = False
    """Whether there are files of labels, so that it is a failure where no image has got one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One label with the image that it names."""

    image: Location
    label: Label
    source: Location
    """The file that the label is read from."""
    place: str = ""
    """Where in that file, such as `line 3`; empty for the whole file."""
    agreement: tuple[int, ...] = ()
    """How well the directories of label and image agree; the greater, the better."""
    namesakes: bool = False
    """Whether other images have the name that the label gives."""
    rank: int = 0
    """Which of several sources counts where they say different things: the highest; the others add to it."""

    def __str__(self) -> str:
        return display(f"{self.source}, {self.place}" if self.place else self.source)

    def skip(self, reason: str) -> Skipped:
        """Return this label as one that is not used."""
        return skip(self.source, self.place, reason)


def skip(source: Location, place: str, reason: str) -> Skipped:
    """Return the label at `place` of the file `source` as one that is not used."""
    return Skipped(str(source), f"{place}: {reason}" if place else reason)


def settle(
    mode: str,
    images: Sequence[Location],
    claims: Iterable[Claim],
    skipped: Iterable[Skipped] = (),
    *,
    remarks: Sequence[Remark] = (),
    expected: bool = False,
) -> Labelling:
    """Give each image its label.

    Of several labels for one image, those whose directories agree best with the image's count. Where these
    have equal fields the first is used; where no field has two values they are put together; where they
    contradict each other none is used, and each is reported. One of a lower rank only adds what others lack.

    Args:
        mode: the mode that was used.
        images: every image below the root.
        claims: labels with the images they name, which are all among `images`; in the order of their paths.
        skipped: labels that name no image.
        remarks: what was assumed.
        expected: whether there are files of labels.
    """
    claims_on: dict[Location, list[Claim]] = {}
    for claim in claims:
        claims_on.setdefault(claim.image, []).append(claim)
    labels: dict[Location, Label] = {}
    rejected = list(skipped)
    for image in images:
        if rivals := claims_on.get(image):
            label, losers = _choose(rivals)
            rejected += losers
            if label is not None:
                labels[image] = label
    rejected.sort(key=lambda skipped: skipped.path)
    unlabelled = [image for image in images if image not in labels]
    told_apart = [image for image in labels if any(claim.namesakes for claim in claims_on[image])]
    return Labelling(mode, labels, rejected, unlabelled, told_apart, list(remarks), expected)


def _choose(rivals: list[Claim]) -> tuple[Label | None, list[Skipped]]:
    if len(rivals) == 1:
        return rivals[0].label, []
    best = max(claim.agreement for claim in rivals)
    leaders = [claim for claim in rivals if claim.agreement == best]
    first = leaders[0]
    image = display(first.image.name)
    losers = [
        claim.skip(f"{image} belongs to {first}, whose directories agree better with the image's")
        for claim in rivals
        if claim.agreement != best
    ]
    ranked = sorted(leaders, key=lambda claim: -claim.rank)
    equals = [claim for claim in ranked if claim.rank == ranked[0].rank]
    contradiction = _contradiction(equals)
    if contradiction is not None:
        one, other = contradiction
        for claim in leaders:
            rival = other if claim is one else one
            losers.append(claim.skip(f"contradicts {rival} about {image}; neither is used"))
        return None, losers
    label = ranked[0].label
    for claim in ranked[1:]:
        if set(claim.label.fields) - set(label.fields) or _digest(claim.label) == _digest(label):
            label = _both(label, claim.label)
        elif claim.rank < ranked[0].rank or not claim.label.fields:
            label = Label(label.fields, _both(label, claim.label).metadata)
        elif claim.label.metadata != label.metadata:
            losers.append(claim.skip(f"{image} has the same fields from {first}, whose metadata is kept"))
    return label, losers


def _digest(label: Label) -> str:
    return labels_digest(label.fields, label.metadata)


def _contradiction(claims: Sequence[Claim]) -> tuple[Claim, Claim] | None:
    """Return two labels that give one field different values; None where all agree."""
    by_name: dict[str, tuple[str, Claim]] = {}
    for claim in claims:
        for name, value in claim.label.fields.items():
            # Digests, because to Python True equals 1, and two labels that say so differ.
            digest = labels_digest({name: value}, {})
            before = by_name.setdefault(name, (digest, claim))
            if before[0] != digest:
                return before[1], claim
    return None


def _both(one: Label, other: Label) -> Label:
    """Return a label with all that two say: of what both have the first's, and lists one after the other."""
    metadata = {**other.metadata, **one.metadata}
    for key, value in other.metadata.items():
        first = one.metadata.get(key)
        if isinstance(value, list) and isinstance(first, list) and value != first:
            metadata[key] = [*first, *value]
    return Label({**other.fields, **one.fields}, metadata)
