"""What reading labels gives, and the rule for several labels that name one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.records import Skipped, display, labels_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lookalike.records import Fields, Metadata, Remark


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
    """The mode that was used: folders, json, table or none; never auto."""
    labels: dict[Path, Label]
    """By image, in the order in which the images were given."""
    skipped: list[Skipped]
    """Labels that could not be used, by path."""
    unlabelled: list[Path]
    """Images without a label, in the order in which they were given."""
    told_apart: list[Path]
    """Images of a name that others have too, whose label found them by their directories, in that order."""
    remarks: list[Remark] = field(default_factory=list)
    """What was assumed, and what a person should look at."""
    expected: bool = False
    """Whether there are files of labels, so that it is a failure where no image has got one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One label with the image that it names."""

    image: Path
    label: Label
    source: Path
    """The file that the label is read from."""
    place: str = ""
    """Where in that file, such as `line 3`; empty for the whole file."""
    agreement: tuple[int, ...] = ()
    """How well the directories of label and image agree; the greater, the better."""
    namesakes: bool = False
    """Whether other images have the name that the label gives."""

    def __str__(self) -> str:
        return display(f"{self.source}, {self.place}" if self.place else self.source)

    def skip(self, reason: str) -> Skipped:
        """Return this label as one that is not used."""
        return skip(self.source, self.place, reason)


def skip(source: Path, place: str, reason: str) -> Skipped:
    """Return the label at `place` of the file `source` as one that is not used."""
    return Skipped(str(source), f"{place}: {reason}" if place else reason)


def settle(
    mode: str,
    images: Sequence[Path],
    claims: Iterable[Claim],
    skipped: Iterable[Skipped] = (),
    *,
    remarks: Sequence[Remark] = (),
    expected: bool = False,
) -> Labelling:
    """Give each image its label.

    Of several labels for one image, those whose directories agree best with the image's count. Where these
    have equal fields the first is used; where they contradict each other none is, and each is reported.

    Args:
        mode: the mode that was used.
        images: every image below the root.
        claims: labels with the images they name, which are all among `images`; in the order of their paths.
        skipped: labels that name no image.
        remarks: what was assumed.
        expected: whether there are files of labels.
    """
    claims_on: dict[Path, list[Claim]] = {}
    for claim in claims:
        claims_on.setdefault(claim.image, []).append(claim)
    labels: dict[Path, Label] = {}
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
    # Digests, because to Python True equals 1, and two labels that say so differ.
    fields = labels_digest(first.label.fields, {})
    contradiction = next((c for c in leaders if labels_digest(c.label.fields, {}) != fields), None)
    if contradiction is not None:
        for claim in leaders:
            other = contradiction if claim is first else first
            losers.append(claim.skip(f"contradicts {other} about {image}; neither is used"))
        return None, losers
    whole = labels_digest(first.label.fields, first.label.metadata)
    losers += [
        claim.skip(f"{image} has the same fields from {first}, whose metadata is kept")
        for claim in leaders[1:]
        if labels_digest(claim.label.fields, claim.label.metadata) != whole
    ]
    return first.label, losers
