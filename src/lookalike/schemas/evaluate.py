"""An evaluation: the query and the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lookalike.schemas.values import Chain, FieldName, Hit, Image, RequestModel, ResponseModel, Value


class EvaluateQuery(RequestModel):
    """How to measure how often the neighbours are right."""

    by: FieldName = Field(description="The field that holds the label.")
    within: FieldName | None = Field(
        None,
        description="Compare an image only with those of the same value of this field.",
        examples=["part"],
    )
    using: str | None = Field(
        None, max_length=64, description="The vector that is judged; null is the default one."
    )
    k: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        5, description="Neighbours that vote; `auto` chooses by cross-validation."
    )
    group: FieldName | None = Field(
        None,
        description="Never compare an image with those of the same value of this field; `series`, where "
        "there is no such field: with those of its own series, as names and times tell them.",
        examples=["day"],
    )
    folds: int = Field(5, ge=2, le=100, description="For a fitted metric or k `auto`.")
    repeats: int = Field(3, ge=1, le=10, description="How often folds are drawn.")
    seed: int = Field(0, ge=0, lt=1 << 32, description="Of the first drawing.")
    max_error: float | None = Field(
        None, gt=0, lt=1, description="Find the confidence above which the error is at most this."
    )
    coverage: float | None = Field(
        None, gt=0, lt=1, description="Measure label sets that contain the true label this often."
    )
    false_alarm: float | None = Field(
        None, ge=0, lt=1, description="Part of the known pictures that may be called unknown; 0 for never."
    )
    sample: int | None = Field(
        None,
        ge=2,
        description="Classify so many images, drawn at random, by all others; null for all, or 10,000 where "
        "not all fit into memory.",
    )


class Sample(ResponseModel):
    """A random sample that was classified in place of all images."""

    images: int = Field(description="That were classified.")
    eligible: int = Field(description="Images that they were drawn from, and classified by.")
    total: int = Field(description="All images of the collection.")
    learned: int | None = Field(
        description="Images outside of the sample that the metric was fitted to; null for the plain one."
    )


class Apart(ResponseModel):
    """The accuracy with other images kept together than in the evaluation itself."""

    evaluated: int
    correct: int
    accuracy: float


class SeriesFigures(ResponseModel):
    """Series, such as exposures of one part, whose images are each other's nearest neighbours."""

    how: str = Field(description="What tells them, in words.")
    images: int = Field(description="Images in series of several.")
    series: int = Field(description="How many such series there are.")
    largest: int = Field(description="Images in the largest.")
    share: float = Field(description="Part of the images whose nearest neighbour is of their own series.")
    expected: float = Field(description="The same with names exchanged at random within label and folder.")
    p_value: float = Field(description="Of the permutation test that says so.")
    permutations: int
    together: Apart | None = Field(
        description="The figure with series kept together; null where that leaves nothing to compare."
    )


class Joined(ResponseModel):
    """Groups of a field that are one lot, since near-duplicates lie in several of them."""

    images: int
    groups: int = Field(description="Values of the field.")


class Selection(ResponseModel):
    """Selective classification: which answers are given so that the error stays below a bound."""

    max_error: float
    threshold: float = Field(description="The least confidence of an answer that is given.")
    bound: float = Field(description="Upper bound of the error among answers given, in 95 % of the cases.")
    answered: int = Field(description="Held-out answers that reach the threshold.")
    wrong: int
    total: int
    share: float = Field(description="Part of the held-out answers that are still given.")


class SetCoverage(ResponseModel):
    """How large the label sets are that contain the true label as often as promised."""

    promised: float
    mean_size: float = Field(description="Labels in a set.")
    single: int = Field(description="Images that got a set of one label.")


class EvaluationSummary(ResponseModel):
    """The figures of an evaluation."""

    method: str = Field(examples=["leave-one-out"])
    by: str = Field(examples=["label"])
    within: str | None
    k: int = Field(description="Neighbours that were asked to vote; where k was chosen, that for new images.")
    images: int = Field(description="Of the collection.")
    sample: Sample | None = Field(None, description="Null where all images were classified.")
    evaluated: int = Field(description="Images that were classified by the others.")
    correct: int = Field(description="Images that got their own label.")
    accuracy: float = Field(description="Part of the evaluated images, 0 … 1.")
    interval: tuple[float, float] = Field(description="95 % Wilson interval of the accuracy.")
    confidence: float = Field(description="Of that interval.", examples=[0.95])
    baseline: float = Field(description="Accuracy of always naming the most common label.")
    macro_f1: float
    balanced_accuracy: float
    classes: int
    mistakes: int
    left_out: dict[str, int] = Field(description="Images that could not be evaluated, by reason.")
    fewer_than_k: int = Field(description="Images on which fewer than k neighbours voted.")
    alone_in_class: int = Field(description="Images that share their label with none: never right.")
    duplicates: int = Field(description="Images of which a byte-identical copy was among those that voted.")
    ks: dict[str, int] = Field(description="Each k that was used, with the number of folds that used it.")
    repeats: list[float] = Field(description="The accuracy of each drawing of the folds.")
    group: str | None
    near_duplicates: int = Field(description="Images that were kept together with a near-duplicate.")
    frames: int = Field(0, description="Frames of films that were kept together with others of their film.")
    chains: list[Chain] = Field(description="Chains of near-duplicates, the largest first.")
    joined: list[Joined] = Field(
        description="Lots of several values of `group`, as near-duplicates lie in them; the largest first."
    )
    apart: Apart | None = Field(description="The figure with nothing kept together, where anything was.")
    series: SeriesFigures | None = Field(
        None, description="Series that were found, where `group` names no field."
    )
    trust: str | None = Field(None, description="Why no confidence can be given; null where it can.")
    brier: float | None = Field(None, description="0 is perfect, 0.25 knows nothing.")
    false_alarm: float | None = None
    unknown: int | None = Field(None, description="Images that would be called unlike anything.")
    max_error: Selection | str | None = Field(
        None, description="Where an error was promised: what that leaves, or why it cannot be promised."
    )
    coverage: SetCoverage | None = Field(None, description="Where a coverage was promised.")


class ClassFigures(ResponseModel):
    """Precision, recall and F1 of one label."""

    label: Value
    support: int = Field(description="Evaluated images that have the label.")
    predicted: int = Field(description="Evaluated images that were given the label.")
    correct: int
    precision: float
    recall: float
    f1: float


class ConfusionCell(ResponseModel):
    """How many images of one label were given another, or the same."""

    label: Value
    predicted: Value
    count: int


class ReliabilityBin(ResponseModel):
    """Answers of about one confidence, and how often they were right."""

    low: float
    high: float
    count: int
    confidence: float = Field(description="Their mean confidence.")
    right: float = Field(description="The part of them that was right.")


class LabelCoverage(ResponseModel):
    """Coverage of the label sets for one true label."""

    label: Value
    images: int
    covered: int
    always: bool = Field(description="Whether the label has too few images, so that it is in every set.")


class EvaluationAnswer(ResponseModel):
    """The figures of an evaluation of held-out answers."""

    summary: EvaluationSummary
    classes: list[ClassFigures] = Field(
        description="Booleans first, then numbers, then strings; a place in this list names a label in "
        "`evaluation/images`."
    )
    confusion: list[ConfusionCell] = Field(description="The cells that are not 0.")
    reliability: list[ReliabilityBin]
    coverage: list[LabelCoverage] = Field(description="Empty unless a coverage was promised.")


class EvaluatedImage(Image):
    """An image, and what its neighbours said of it."""

    label: Value = Field(description="The true label when the job ran.")
    predicted: Value
    share: float = Field(description="Part of the vote that the predicted label got, 0 … 1.")
    neighbours: list[Hit] = Field(description="Those that voted, most similar first; 50 at most.")


class EvaluatedImages(ResponseModel):
    """Images of an evaluation, those with the clearest votes first."""

    total: int = Field(description="That match; of these, one page.")
    images: list[EvaluatedImage] = Field(description="Without those that were removed since.")
