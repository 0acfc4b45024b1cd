"""What `classify` shows beside a label: an anomaly score, and an explanation with its drawing."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from lookalike.cli.messages import warn
from lookalike.cli.output import OutputNames, box_text, print_text, short_path, text_of, verdict_text
from lookalike.errors import StoreCorrupt, Unanswerable, WeightsMissing
from lookalike.file_names import display
from lookalike.output_files import write_file
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lookalike.anomaly.scoring import Anomaly
    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.classification.explanation import Explanation
    from lookalike.collection import Collection
    from lookalike.sources.frames import Place


def score_anomalies(
    handle: Collection, paths: Sequence[Place], max_pixels: int, *, quiet: bool
) -> Iterator[Anomaly | None]:
    """Hold images against normal ones, where the collection knows what is normal: more evidence."""
    if not handle.anomaly.is_fitted():
        yield from repeat(None)
    try:
        scorer = handle.anomaly.scorer(max_pixels=max_pixels)
    except (Unanswerable, WeightsMissing, StoreCorrupt) as error:
        warn(f"not held against normal pictures: {error}", quiet=quiet)
        yield from repeat(None)
    for found in scorer.score(paths):
        yield None if isinstance(found, Skipped) else found


class Explained(NamedTuple):
    """An explanation, and the file that it was drawn into."""

    found: Explanation
    drawn: Path


def explain_answers(
    answers: Iterable[Classified | Skipped],
    handle: Collection,
    classifier: Classifier,
    folder: Path | None,
    max_pixels: int,
) -> Iterator[tuple[Classified | Skipped, Explained | Skipped | None]]:
    """Explain answers, and draw the explanations into a folder; where there is none, nothing is explained."""
    if folder is None:
        yield from ((answer, None) for answer in answers)
        return
    folder.mkdir(parents=True, exist_ok=True)
    explainer, names = handle.explainer(classifier, max_pixels=max_pixels), OutputNames()
    for answer in answers:
        if isinstance(answer, Skipped):
            yield answer, None
            continue
        found = explainer.explain(answer.path, answer)
        if isinstance(found, Skipped):
            yield answer, found
            continue
        drawn = folder / names.of(answer.path)
        write_file(drawn, handle.overlay(answer.path, found, beside=True, max_pixels=max_pixels))
        yield answer, Explained(found, drawn)


def evidence_line(anomaly: Anomaly | None, explained: Explained | Skipped | None) -> dict[str, object]:
    """Return what else is known of an image as members of its JSON line."""
    found: dict[str, object] = {} if anomaly is None else {"anomaly": anomaly.line()}
    if isinstance(explained, Explained):
        found["explanation"] = explained.found.line() | {"overlay": str(explained.drawn)}
    return found


def print_evidence(anomaly: Anomaly | None, explained: Explained | Skipped | None) -> None:
    """Print what else is known of an image."""
    if isinstance(explained, Explained):
        _print_explanation(explained)
    if anomaly is not None:
        print_text(f"  held against normal pictures: {verdict_text(anomaly)}")


def _print_explanation(explained: Explained) -> None:
    """Print which regions the voters lack, and which pair speaks most for the label."""
    found, pair = explained.found, explained.found.pair
    for each in found.left_out:
        print_text(f"  not compared: {short_path(each.record.uri)}: {each.reason}")
    for box in found.boxes[:3]:
        print_text(f"  no voter has the like of {box_text(box)}")
    if found.novelty_map is not None and not found.boxes:
        print_text("  no region is more unlike the voters than they are unlike each other")
    if pair is not None:
        label, rival = text_of(found.label), text_of(found.runner_up)
        print_text(f"  what speaks most for {label} and not {rival} is at {box_text(pair.region)};")
        print_text(
            f"  it is like {short_path(pair.voter.uri)} at {box_text(pair.voter_region)}: "
            f"similarity {pair.similarity:.2f}, in images of {rival} at most {pair.runner_up_similarity:.2f}"
        )
    for remark in found.remarks:
        print_text(f"  {remark}")
    print_text(f"  {display(explained.drawn)}")
