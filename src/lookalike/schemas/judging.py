"""What evaluations and audits answer, in the words of the command line."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import Given, Hit, Image, Value


class Apart(Given):
    """The figure with every image on its own, what is alike included: the one that flatters."""

    evaluated: int
    correct: int
    accuracy: float


class Chain(Given):
    """Images that near-duplicates connect though they are not all near-duplicates of each other."""

    images: int
    groups: int = Field(description="That it was taken apart into: in each, all are near-duplicates.")
    similarity: float = Field(description="The least between two of its images.")


class Joined(Given):
    """Groups of a field that are one lot, since near-duplicates lie in several of them."""

    images: int
    groups: int = Field(description="Values of the field.")


class Selection(Given):
    """Which answers are given so that the error stays below a promise."""

    max_error: float
    threshold: float = Field(description="The least confidence of an answer that is given.")
    bound: float = Field(description="Upper bound of the error among answers given, in 95 % of the cases.")
    answered: int = Field(description="Held-out answers that reach the threshold.")
    wrong: int
    total: int
    share: float = Field(description="Part of the held-out answers that are still given.")


class SetCoverage(Given):
    """How large the label sets are that contain the true label as often as promised."""

    promised: float
    mean_size: float = Field(description="Labels in a set.")
    single: int = Field(description="Images that got a set of one label.")


class EvaluationSummary(Given):
    """The figures of an evaluation."""

    method: str = Field(examples=["leave-one-out"])
    by: str = Field(examples=["label"])
    within: str | None
    k: int = Field(description="Neighbours that were asked to vote; where k was chosen, that for new images.")
    images: int = Field(description="Of the collection.")
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
    chains: list[Chain] = Field(description="Chains of near-duplicates, the largest first.")
    joined: list[Joined] = Field(
        description="Lots of several values of `group`, as near-duplicates lie in them; the largest first."
    )
    apart: Apart | None
    trust: str | None = Field(None, description="Why no confidence can be given; null where it can.")
    brier: float | None = Field(None, description="0 is perfect, 0.25 knows nothing.")
    false_alarm: float | None = None
    unknown: int | None = Field(None, description="Images that would be called unlike anything.")
    max_error: Selection | str | None = Field(
        None, description="Where an error was promised: what that leaves, or why it cannot be promised."
    )
    coverage: SetCoverage | None = Field(None, description="Where a coverage was promised.")


class ClassFigures(Given):
    """How one label fared."""

    label: Value
    support: int = Field(description="Evaluated images that have the label.")
    predicted: int = Field(description="Evaluated images that were given the label.")
    correct: int
    precision: float
    recall: float
    f1: float


class ConfusionCell(Given):
    """How many images of one label were given another, or the same."""

    label: Value
    predicted: Value
    count: int


class ReliabilityBin(Given):
    """Answers of about one confidence, and how often they were right."""

    low: float
    high: float
    count: int
    confidence: float = Field(description="Their mean confidence.")
    right: float = Field(description="The part of them that was right.")


class LabelCoverage(Given):
    """How often the label sets contained one label where it was the true one."""

    label: Value
    images: int
    covered: int
    always: bool = Field(description="Whether the label has too few images, so that it is in every set.")


class EvaluationAnswer(Given):
    """What the held-out answers of a collection say."""

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


class EvaluatedImages(Given):
    """Images of an evaluation, those with the clearest votes first."""

    total: int = Field(description="That match; of these, one page.")
    images: list[EvaluatedImage] = Field(description="Without those that were removed since.")


class AuditSummary(Given):
    """What an audit found, in numbers."""

    by: str = Field(examples=["label"])
    split: str | None = Field(description="The field that holds the split.")
    method: str = Field(description="How the answers were got that the labels were held against.")
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


class AuditPart(Given):
    """One list of an audit."""

    summary: AuditSummary
    total: int = Field(description="In the list; of these, one page.")


class Suspect(Given):
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


class Duplicates(Given):
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


class Outlier(Given):
    """An image that is unlike all others."""

    image: Image
    label: Value
    deviation: float = Field(
        description="Modified z-score of its distance to the nearest among the images of its label."
    )
    nearest: Hit | None = Field(description="The most similar of the others; null: it was removed since.")


class Outliers(AuditPart):
    """Images unlike all others, the most unlike first."""

    outliers: list[Outlier]


class SmallClass(Given):
    """A label that too few images have."""

    label: Value
    count: int
    floor: float = Field(description="Lower end of the 95 % interval if all of its images were right.")


class SmallClasses(AuditPart):
    """Labels that too few images have to judge them, the smallest first."""

    small_classes: list[SmallClass]


class LeftOut(Given):
    """An image whose label could not be judged."""

    image: Image
    reason: str


class LeftOuts(AuditPart):
    """Images whose label could not be judged."""

    left_out: list[LeftOut]


class MapAnswer(Given):
    """A collection laid onto the plane in which its images differ most."""

    ids: list[str] = Field(description="Of the images that are drawn.")
    names: list[str]
    x: list[float]
    y: list[float]
    label: list[int] = Field(
        description="Of each image, a place in `labels`; −1: it has none, or one too rare to be there."
    )
    labels: list[Value] = Field(description="The 50 most frequent at most, in the order of an evaluation.")
    variance: list[float] = Field(
        min_length=2, max_length=2, description="Part of the variance that each axis holds."
    )
    images: int = Field(description="Of the collection.")
    drawn: int = Field(description="10,000 at most, evenly chosen.")
