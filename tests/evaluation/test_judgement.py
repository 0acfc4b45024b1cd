"""Judgements that are kept: what is said of their age after an insert, a correction and a removal."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.database import Database
from lookalike.evaluation import judgement
from lookalike.evaluation.judgement import Age
from lookalike.types import Record, Space, Stamp
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine


@pytest.fixture
def parts(tmp_path: Path, lookalike: CommandLine) -> Path:
    """A collection of 60 photographs of two labels, and one that is not in it."""
    root = tmp_path / "parts"
    for name in ("global", "nominal"):
        (root / name).mkdir(parents=True)
        for file in sorted((textile_simulated_root() / name).iterdir())[:30]:
            shutil.copyfile(file, root / name / file.name)
    shutil.copyfile(textile_simulated_root() / "global" / "textile_0100.jpg", tmp_path / "new.jpg")
    lookalike("index", root)
    return root


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is quick enough to be judged anew unasked."""
    monkeypatch.setattr(judgement, "QUICK_SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the judgements of one test are kept, apart from those of others."""
    monkeypatch.setattr(judgement, "_FOLDER", str(tmp_path / "judgements"))
    return tmp_path / "judgements"


def insert(root: Path, number: int, label: str = "global") -> Path:
    (root / label).mkdir(exist_ok=True)
    return Path(
        shutil.copyfile(
            textile_simulated_root() / "global" / f"textile_{number:04}.jpg",
            root / label / f"textile_{number:04}.jpg",
        )
    )


def classify(lookalike: CommandLine, root: Path, *words: str) -> tuple[dict[str, Any], str]:
    out, err = lookalike("classify", root.parent / "new.jpg", "--by", "label", "--format", "jsonl", *words)
    (line,) = map(json.loads, out.splitlines())
    return line, err


def test_where_it_is_quick_the_judgement_is_always_of_today(
    lookalike: CommandLine, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgement, "QUICK_SECONDS", 100.0)
    first, _ = classify(lookalike, parts)
    insert(parts, 101)
    lookalike("index", parts)
    second, err = classify(lookalike, parts)
    assert (first["judged"]["images"], second["judged"]["images"]) == (60, 61)
    assert "since then" not in err


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("fitted", [False, True])
def test_after_an_insert_a_correction_and_a_removal_the_old_judgement_answers_and_says_its_age(
    lookalike: CommandLine, parts: Path, folder: Path, fitted: bool
) -> None:
    if fitted:
        lookalike("fit", "--by", "label")
    first, err = classify(lookalike, parts)
    assert first["judged"] | {"at": ""} == {
        "at": "", "images": 60, "added": 0, "removed": 0, "changed": 0, "counted": True,
    }  # fmt: skip
    assert "since then" not in err
    insert(parts, 101)
    lookalike("index", parts)
    second, err = classify(lookalike, parts)
    assert second["judged"] == first["judged"] | {"added": 1}
    assert "confidence is as judged on 60 images" in err
    assert "since then 1 added" in err
    moved = next((parts / "nominal").iterdir())
    moved.rename(parts / "global" / "moved.jpg")
    next((parts / "nominal").iterdir()).unlink()
    lookalike("index", parts, "--prune")
    third, _ = classify(lookalike, parts)
    counts = third["judged"]
    assert counts["added"] - counts["removed"] == 0
    assert counts["removed"] == 2, "the file that was moved is another record"
    fresh, err = classify(lookalike, parts, "--refresh")
    assert fresh["judged"]["images"] == 60
    assert "since then" not in err
    assert classify(lookalike, parts)[0] == fresh
    # The same as from scratch.
    (kept,) = folder.iterdir()
    kept.unlink()
    again, _ = classify(lookalike, parts)
    assert again["confidence"] == pytest.approx(fresh["confidence"], abs=1e-9)


@pytest.mark.usefixtures("slow")
def test_a_label_without_held_out_answers_is_said(lookalike: CommandLine, parts: Path) -> None:
    classify(lookalike, parts, "-k", "1")
    for number in (100, 101, 102):
        insert(parts, number, "new label")
    lookalike("index", parts)
    one = parts / "new label" / "textile_0101.jpg"
    words = one, "--by", "label", "-k", "1"
    # The picture itself has no vote: that goes to one of the two others, if they are the nearest.
    out, _ = lookalike("classify", *words, "--where", "label=new label", "--format", "jsonl")
    out, err = lookalike("classify", *words, "--format", "jsonl")
    answer = json.loads(out)
    assert answer["judged"]["added"] == 3
    assert "since then 3 added" in err


@pytest.mark.usefixtures("slow")
def test_a_judgement_of_another_fit_or_a_damaged_one_is_not_used(
    lookalike: CommandLine, parts: Path, folder: Path
) -> None:
    classify(lookalike, parts)
    (plain,) = folder.iterdir()
    lookalike("fit", "--by", "label")
    classify(lookalike, parts)
    fitted = set(folder.iterdir()) - {plain}
    assert len(fitted) == 1
    insert(parts, 101)
    lookalike("index", parts)
    lookalike("fit", "--by", "label")
    assert classify(lookalike, parts)[0]["judged"]["images"] == 61, "another fit, another judgement"
    insert(parts, 102)
    lookalike("index", parts)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    assert classify(lookalike, parts)[0]["judged"]["images"] == 62
    for path in folder.iterdir():
        path.write_bytes(b"")
    assert classify(lookalike, parts)[0]["judged"]["images"] == 62


@pytest.mark.usefixtures("slow")
def test_where_most_is_new_labels_and_files_the_old_judgement_is_not_used(
    lookalike: CommandLine, parts: Path
) -> None:
    classify(lookalike, parts)
    shutil.move(parts / "global", parts / "defect")
    shutil.move(parts / "nominal", parts / "good")
    lookalike("index", parts, "--prune", "--yes")
    answer, err = classify(lookalike, parts)
    assert answer["label"] == "defect"
    assert answer["judged"] | {"at": ""} == {
        "at": "", "images": 60, "added": 0, "removed": 0, "changed": 0, "counted": True,
    }  # fmt: skip
    assert "since then" not in err


ids = st.sets(st.integers(0, 60), max_size=40)


@settings(deadline=None, max_examples=50)
@given(before=ids, after=ids, touched=ids)
def test_what_has_changed_is_counted(before: set[int], after: set[int], touched: set[int]) -> None:
    then = judgement._records(Stamp(str(each), 1, 1, "a") for each in before)
    now = judgement._records(Stamp(str(each), 1, 1 + (each in touched), "a") for each in after)
    kept = judgement._Kept(None, then, "now", 9.0, None, then.ids)  # type: ignore[arg-type] # not looked at
    expected = Age(
        "now", len(before), len(after - before), len(before - after), len(before & after & touched)
    )
    assert kept.age(now) == expected
    assert expected.current == (before == after and not before & touched)


def test_series_among_the_judged_images_are_said_also_by_a_judgement_that_was_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    part = np.repeat(np.arange(40), 5)
    numbers = random.normal(size=(40, 24))[part] + 0.5 * random.normal(size=(len(part), 24))
    uris = [f"file:///parts/part{part[row]}_{row % 5}.jpg" for row in range(len(part))]
    records = [
        Record(record_id(uri), uri, f"{row:064x}", {"label": int(part[row]) % 2}, {}, 1, 1)
        for row, uri in enumerate(uris)
    ]
    space = Space("made-up", "0" * 64, 24)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path) as database:
        database.store.create("parts", space)
        database.store.put("parts", records, {space: normalise(numbers.astype(np.float32))})
        for _ in range(2):
            (remark,) = database["parts"].classifier("label").remarks
            assert "nearest neighbour in their own series (file names alike" in remark
            assert "`evaluate --group series`" in remark
        others = [
            replace(each, uri=f"file:///{row * 7919 % 200}.jpg", modified_ns=2)
            for row, each in enumerate(records)
        ]
        database.store.put("parts", others, {space: normalise(numbers.astype(np.float32))})
        assert database["parts"].classifier("label", refresh=True).remarks == []


def test_two_that_judge_at_once_leave_a_whole_one(
    lookalike: CommandLine, parts: Path, cache: Path, folder: Path
) -> None:
    def confidence(_: int) -> float:
        with Database(lookalike.store, cache=cache) as database:
            found = database["images"].classify(parts.parent / "new.jpg", "label", refresh=True)
            return float(next(iter(found)).prediction.confidence)  # type: ignore[union-attr, arg-type]

    with ThreadPoolExecutor(2) as pool:
        assert len(set(np.round(list(pool.map(confidence, range(2))), 9))) == 1
    (kept,) = folder.iterdir()
    assert judgement._Kept.from_bytes(kept.read_bytes()) is not None
