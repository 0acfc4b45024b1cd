"""An audit of labels and images: the query and the lists of the answer."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import Chain, FieldName, Hit, Image, RequestModel, ResponseModel, Value


class AuditQuery(RequestModel):
    """How to look for what is wrong with labels and images."""

    by: FieldName | None = Field(
        None, description="The field that holds the label; null looks for what needs no label."
    )
    split: FieldName | None = Field(
        None,
        description="The field that tells training images from test images; null: one with such names for "
        "values.",
        examples=["split"],
    )
    using: str | None = Field(
        None, max_length=64, description="The vector that is judged; null is the default one."
    )
    k: int = Field(5, ge=1, le=1000, description="Neighbours that vote, as evidence.")
    look: bool = Field(
        False,
        description="Read the pictures, too: which were saved again, and which are dark, bright, blank, "
        "blurred, of little information, or of odd shape or size.",
    )


class PictureKind(ResponseModel):
    """A kind of picture that is worth a look."""

    kind: str = Field(examples=["dark"])
    count: int
    measure: str = Field(description="What is measured, in words.")
    below: float | None = Field(description="Pictures whose measure is below this are of the kind.")
    above: float | None = Field(description="Or above this.")


class PicturesSummary(ResponseModel):
    """What was measured of the pictures, in numbers."""

    measured: int
    unread: int = Field(description="Pictures that could not be read.")
    kinds: list[PictureKind]


class AuditSummary(ResponseModel):
    """What an audit found, in numbers."""

    by: str | None = Field(examples=["label"])
    split: str | None = Field(description="The field that holds the split.")
    method: str | None = Field(
        description="How the answers were got that the labels were held against; null without labels."
    )
    images: int
    judged: int
    contradicted: int = Field(description="Labels that the neighbours contradict.")
    duplicates: int = Field(description="Groups of near-duplicates.")
    disagreeing: int = Field(description="Those of them with different labels.")
    straddling: int = Field(description="Those of them in two splits at once.")
    threshold: float = Field(description="Similarity from which two images are near-duplicates.")
    chains: list[Chain] = Field(description="Chains of near-duplicates, the largest first.")
    outliers: int
    small_classes: int
    left_out: int
    pictures: PicturesSummary | None = Field(
        None, description="What was measured of the pictures; null: they were not read."
    )


class AuditPart(ResponseModel):
    """One list of an audit."""

    summary: AuditSummary
    total: int = Field(description="In the list; of these, one page.")


class Suspect(ResponseModel):
    """A label, and how much speaks against it."""

    image: Image = Field(description="As it is now.")
    label: Value = Field(description="When the job ran.")
    suggested: Value = Field(
        description="The label that the neighbours voted for; where that is its own, the one that comes "
        "nearest."
    )
    score: float = Field(
        description="Similarity to the nearest image of the suggested label less that of its own."
    )
    contradicted: bool = Field(description="Whether the neighbours voted for the suggested label.")
    confirmed: bool = Field(description="Whether a person has found the label right.")
    changed: bool = Field(description="Whether the image has another label by now.")
    neighbours: list[Hit] = Field(description="Those that voted, most similar first; 50 at most.")


class Suspects(AuditPart):
    """Labels that look wrong, the most striking first; what people have settled since comes last."""

    suspects: list[Suspect]


class AlikeImage(Image):
    """One of several images that show the same thing."""

    label: Value | None = Field(description="When the job ran; null: it had none.")
    split: Value | None


class Duplicates(ResponseModel):
    """Images that show the same thing."""

    count: int = Field(description="Images in the group; 100 of them are shown at most.")
    images: list[AlikeImage]
    disagree: bool = Field(description="Whether two of them have different labels.")
    straddle: bool = Field(description="Whether two of them are in different splits.")
    identical: bool = Field(description="Whether all files have the same bytes.")
    similarity: float = Field(description="Each is at least so similar to another of the group.")


class DuplicateGroups(AuditPart):
    """Near-duplicates: those with different labels first, then larger groups first."""

    duplicates: list[Duplicates]


class Outlier(ResponseModel):
    """An image that is unlike all others."""

    image: Image
    label: Value | None = Field(description="Null in an audit without labels.")
    deviation: float = Field(
        description="Modified z-score of its distance to the nearest among the images of its label, or "
        "among all."
    )
    nearest: Hit | None = Field(description="The most similar of the others; null: it was removed since.")


class Outliers(AuditPart):
    """Images unlike all others, the most unlike first."""

    outliers: list[Outlier]


class SmallClass(ResponseModel):
    """A label that too few images have."""

    label: Value
    count: int
    floor: float = Field(description="Lower end of the 95 % interval if all of its images were right.")


class SmallClasses(AuditPart):
    """Labels that too few images have to judge them, the smallest first."""

    small_classes: list[SmallClass]


class Picture(ResponseModel):
    """A picture that is worth a look, with the measure that says so."""

    image: Image
    kind: str = Field(examples=["dark"])
    value: float


class Pictures(AuditPart):
    """Pictures that are worth a look: by kind, the most striking of each first."""

    pictures: list[Picture]


class LeftOut(ResponseModel):
    """An image whose label could not be judged, or whose picture could not be read."""

    image: Image
    reason: str


class LeftOuts(AuditPart):
    """Images whose label could not be judged."""

    left_out: list[LeftOut]


class Unread(AuditPart):
    """Images whose pictures could not be read."""

    unread: list[LeftOut]
