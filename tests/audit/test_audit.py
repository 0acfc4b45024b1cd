"""The audit: changed labels come first, copies are found, and each finding names its evidence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root

from lookalike.audit.audit import AuditOptions, audit, contradictions
from lookalike.audit.findings import DEVIATION, SMALL, Audit, audit_lines
from lookalike.database import Database
from lookalike.embedders.builtin import efficientnet_lite_inspect
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.registry import open_embedder
from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.held_out_predictions import predict_held_out
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.metric_learning.fitted import refit_with
from lookalike.types import Record, Scalar, Space, Vectors
from lookalike.uris import record_id
from lookalike.vectors.metric import FittedMetric, fit_metric, normalise
from lookalike.vectors.vote import Codes
from tests.cli.test_progress import Heard
from tests.conftest import CommandLine


def record(place: int, digest: str | None = None, **fields: Scalar) -> Record:
    uri = f"file:///{place:04}.png"
    return Record(record_id(uri), uri, digest or f"{place:064x}", fields, {}, 1, 1)


def two_clouds(each: int = 20, seed: int = 0) -> Vectors:
    """Return `each` vectors around one direction, then as many around another, well apart."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(scale=0.1, size=(2 * each, 16))
    vectors[:each, 0] += 1
    vectors[each:, 1] += 1
    return normalise(vectors.astype(np.float32))


def labelled(count: int, **changed: Any) -> list[Record]:
    return [record(place, label="good" if place < count // 2 else "bad", **changed) for place in range(count)]


def relabelled(records: Sequence[Record], labels: Mapping[int, str]) -> list[Record]:
    return [
        replace(each, fields={**each.fields, "label": labels.get(place, each.fields["label"])})
        for place, each in enumerate(records)
    ]


def test_changed_labels_come_first_and_name_what_they_should_be() -> None:
    found = audit(relabelled(labelled(40), {3: "bad", 30: "good"}), two_clouds(), "label")
    first = found.suspects[:2]
    assert {(each.record.uri, each.label, each.suggested) for each in first} == {
        ("file:///0003.png", "bad", "good"),
        ("file:///0030.png", "good", "bad"),
    }
    assert found.contradicted == first
    assert len(found.suspects) == 40
    ranks = [(suspect.contradicted, suspect.score) for suspect in found.suspects]
    assert ranks == sorted(ranks, reverse=True)
    for suspect in first:
        assert len(suspect.neighbours) == 5
        assert suspect.record not in [each.record for each in suspect.neighbours]


@pytest.mark.slow
def test_of_5_percent_changed_textile_labels_80_percent_are_in_the_first_tenth(cache: Path) -> None:
    root = textile_simulated_root()
    files = [file for name in ("global", "local", "nominal") for file in sorted((root / name).iterdir())[:80]]
    embedder = open_embedder("efficientnet-lite0-inspect", cache)
    features = FeatureCache(cache, embedder.fingerprint, embedder.dimension)
    embedded = list(embed_files(files, embedder, features))
    features.close()
    vectors = normalise(np.stack([each.features for each in embedded if isinstance(each, EmbeddedFile)]))
    names = ["global", "local", "nominal"]
    records = [record(place, label=file.parent.name) for place, file in enumerate(files)]
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(files), len(files) // 20, replace=False).tolist()
    wrong = {row: str(rng.choice([n for n in names if n != files[row].parent.name])) for row in flipped}

    def fit(plain: Vectors, codes: Codes, lots: Codes) -> FittedMetric:
        return fit_metric(plain, codes, lots=lots, groups=efficientnet_lite_inspect.CARD.groups)

    found = audit(relabelled(records, wrong), vectors, "label", fit=fit)
    assert "metric refitted" in found.method
    first = {suspect.record.uri for suspect in found.suspects[: len(files) // 10]}
    caught = sum(records[row].uri in first for row in flipped)
    assert caught >= 0.8 * len(flipped)


def test_a_copy_does_not_speak_for_its_own_label() -> None:
    """Two files of the same bytes, both labelled wrong, would each be the other's best friend."""
    vectors = two_clouds()
    vectors[1] = vectors[0]
    records = relabelled(labelled(40), {0: "bad", 1: "bad"})
    records[1] = replace(records[1], digest=records[0].digest)
    found = audit(records, vectors, "label")
    assert {suspect.record.uri for suspect in found.contradicted} == {"file:///0000.png", "file:///0001.png"}


def test_near_duplicates_with_different_labels_come_first() -> None:
    vectors = two_clouds()
    vectors[[1, 2]] = vectors[0]
    vectors[25] = vectors[24]
    records = relabelled(labelled(40), {25: "good"})
    found = audit(records, vectors, "label")
    assert [len(group.records) for group in found.duplicates] == [2, 3]
    assert [group.disagree for group in found.duplicates] == [True, False]
    assert found.duplicates[0].labels == ("bad", "good")
    assert found.duplicates[0].similarity == pytest.approx(1)
    assert not found.duplicates[0].identical


def test_a_group_is_found_though_it_has_no_labels() -> None:
    records = [*labelled(40), record(40, "a" * 64), record(41, "a" * 64)]
    extra = np.zeros((2, 16), np.float32)
    extra[:, 5] = 1
    found = audit(records, np.concatenate([two_clouds(), extra]), "label")
    (group,) = found.duplicates
    assert group.labels == (None, None)
    assert group.identical
    assert not group.disagree
    assert [each.record.uri for each in found.left_out] == ["file:///0040.png", "file:///0041.png"]


@pytest.mark.parametrize(
    ("values", "straddle"),
    [(("train", "test"), True), (("Train", "training"), False), (("val", "dev"), False)],
)
def test_images_in_two_splits_at_once_are_told(values: tuple[str, str], straddle: bool) -> None:
    vectors = two_clouds()
    vectors[1] = vectors[0]
    records = labelled(40, category1="train")
    for place, split in enumerate([*values, "test"]):
        records[place] = record(place, label="good", category1=split)
    found = audit(records, vectors, "label")
    assert found.split == "category1"
    assert [group.straddle for group in found.duplicates] == [straddle]


def test_a_field_with_other_values_is_no_split_unless_it_is_named() -> None:
    vectors = two_clouds()
    vectors[1] = vectors[0]
    records = [
        replace(each, fields={**each.fields, "roll": place % 2}) for place, each in enumerate(labelled(40))
    ]
    assert audit(records, vectors, "label").split is None
    assert audit(records, vectors, "label").straddling == ()
    assert len(audit(records, vectors, "label", AuditOptions(split="roll")).straddling) == 1


def test_an_image_unlike_all_others_is_an_outlier() -> None:
    vectors = two_clouds()
    vectors[7] = 0
    vectors[7, 9] = 1
    found = audit(labelled(40), vectors, "label")
    assert found.outliers[0].record.uri == "file:///0007.png"
    assert found.outliers[0].deviation > DEVIATION
    assert found.outliers[0].nearest.similarity < 0.7


def test_classes_of_few_images_are_told() -> None:
    records = relabelled(labelled(40), {0: "rare", 1: "rare", 2: "rarer"})
    found = audit(records, two_clouds(), "label")
    assert [(each.label, each.count) for each in found.small_classes] == [("rarer", 1), ("rare", 2)]
    assert found.small_classes[0].floor == pytest.approx(0.2065, abs=1e-4)
    assert SMALL > 2


def test_with_too_many_labels_for_all_similarities_the_votes_rank() -> None:
    records = relabelled(labelled(40), {3: "bad", 30: "good"})
    answers = predict_held_out(records, two_clouds(), "label")
    scores, suggested = contradictions(replace(answers, class_similarities=None))
    first = np.argsort(-scores, kind="stable")[:2]
    assert {records[answers.rows[place]].uri for place in first} == {"file:///0003.png", "file:///0030.png"}
    assert all(suggested[place] != answers.truth[place] for place in first)


def test_the_order_of_the_records_makes_no_difference() -> None:
    records, vectors = relabelled(labelled(40), {3: "bad"}), two_clouds()
    vectors[11] = vectors[10]
    order = np.random.default_rng(0).permutation(40)
    shuffled = audit([records[place] for place in order], vectors[order], "label")
    assert summary(shuffled) == summary(audit(records, vectors, "label"))


def summary(found: Audit) -> str:
    return json.dumps(list(audit_lines(found)))


def test_every_line_of_json_names_its_images() -> None:
    vectors = two_clouds()
    vectors[1] = vectors[0]
    found = audit([*labelled(40), record(40)], np.concatenate([vectors, vectors[:1]]), "label")
    lines = [json.loads(json.dumps(line, allow_nan=False)) for line in audit_lines(found)]
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "summary"
    assert kinds.count("suspect") == 40 == lines[0]["judged"]
    assert all("uri" in line and line["neighbours"] for line in lines if line["type"] == "suspect")
    assert lines[0]["left_out"] == kinds.count("left_out") == 1
    assert lines[0]["duplicates"] == kinds.count("duplicates") == 1


def test_wrong_use_gets_a_clear_line() -> None:
    with pytest.raises(FieldNotFound, match="no field 'colour'"):
        audit(labelled(4), two_clouds(2), "colour")
    with pytest.raises(FieldNotFound, match="no field 'fold'"):
        audit(labelled(4), two_clouds(2), "label", AuditOptions(split="fold"))
    with pytest.raises(InvalidArgument, match="a label is no split"):
        audit(labelled(4), two_clouds(2), "label", AuditOptions(split="label"))
    with pytest.raises(InvalidArgument, match="4 records need as many vectors, not 2"):
        audit(labelled(4), two_clouds(1), "label")
    with pytest.raises(Unanswerable, match="at least two labels"):
        audit([record(n, label="good") for n in range(4)], two_clouds(2), "label")


def test_the_command_line_shows_each_list_and_writes_the_report(
    lookalike: CommandLine, textile: Path
) -> None:
    shutil.copyfile(textile / "global" / "textile_0001.jpg", textile / "nominal" / "copy.jpg")
    lookalike("index", textile)
    out, _ = lookalike("audit", "--by", "label", "--report", "audit.html")
    assert "contradicted by the neighbours" in out
    assert "same bytes, labels differ" in out
    assert "report: audit.html" in out
    page = Path("audit.html").read_text()
    assert "copy.jpg" in page
    out, _ = lookalike("audit", "--by", "label", "--format", "jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["disagreeing"] == 1
    suspects = [line for line in lines if line["type"] == "suspect"]
    assert len(suspects) == 61
    assert any(line["uri"].endswith("copy.jpg") and line["suggested"] == "global" for line in suspects[:2])
    _, err = lookalike("audit", "--by", "label", "--report", "nowhere/audit.html", code=2)
    assert "the report cannot be written there" in err
    _, err = lookalike("audit", "--by", "colour", code=2)
    assert "no field 'colour'" in err


@pytest.mark.parametrize("fitted", [False, True])
def test_it_tells_how_far_it_is_and_finds_the_same(fitted: bool) -> None:
    records, vectors = labelled(80), two_clouds(40)
    vectors[[39, 79]] = vectors[[0, 40]]
    options: dict[str, Any] = {"fit": refit_with([])} if fitted else {}
    heard = Heard()
    found = audit(records, vectors, "label", progress=heard, **options)
    assert list(audit_lines(found)) == list(audit_lines(audit(records, vectors, "label", **options)))
    assert len(found.duplicates) == 2
    heard.check()

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        audit(records, vectors, "label", progress=stop, **options)


def test_suspects_are_judged_again_when_their_evidence_was_put_right(tmp_path: Path) -> None:
    vectors = normalise(np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    records = [
        Record(f"{place:032x}", f"file:///{place}.jpg", f"{place:064x}", {"label": "ab"[place % 2]}, {}, 1, 1)
        for place in range(40)
    ]
    space = Space("made-up", "0" * 64, 8)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path) as database:
        database.store.create("parts", space)
        database.store.put("parts", records, {space: vectors})
        parts = database["parts"]
        found = parts.audit("label", k=1)
        suspect = found.contradicted[0]
        assert parts.reconsider(found) == found
        evidence = suspect.neighbours[0].record.id
        parts.correct(evidence, {"label": suspect.label})
        again = {each.record.id: each for each in parts.reconsider(found).suspects}
        assert len(again) == 40
        assert not again[suspect.record.id].contradicted
        assert again[suspect.record.id].suggested == suspect.label
        assert again[evidence].label == suspect.label
        # Whoever had it for evidence is judged by it as it is now, and nobody else is.
        for each in found.suspects:
            now = again[each.record.id]
            voters = [voter.record.id for voter in each.neighbours]
            if evidence in voters:
                assert now.contradicted == (suspect.label != now.label)
            elif each.record.id != evidence:
                assert now == each
        parts.remove(evidence)
        assert len(parts.reconsider(found).suspects) == 39
