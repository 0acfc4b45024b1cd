"""Frames of one film are kept together wherever images are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike.active_learning.suggest import suggest
from lookalike.audit.audit import audit
from lookalike.drift.drift import DriftOptions, compare
from lookalike.errors import Unanswerable
from lookalike.sources.film_groups import film_groups, with_films_together
from lookalike.types import Record, Scalar, Vectors
from lookalike.uris import record_id
from tests.evaluations import evaluate


def frames(films: dict[str, Scalar], count: int) -> list[Record]:
    """Return frames of films, each film with one label."""
    found: list[Record] = []
    for film, label in films.items():
        for second in range(count):
            uri = f"file:///{film}.mp4#t={second}"
            digest = f"{len(found):064x}"
            found.append(Record(record_id(uri), uri, digest, {"label": label, "film": film}, {}, 1, 1))
    return found


def alike(films: int, count: int) -> Vectors:
    """Return vectors of films: frames of one are nearly the same."""
    draw = np.random.default_rng(0)
    centres = np.repeat(draw.normal(size=(films, 16)), count, axis=0)
    rows = centres + draw.normal(scale=0.05, size=centres.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


RECORDS = frames({"a": "x", "b": "y", "c": "x", "d": "y"}, 6)
VECTORS = alike(4, 6)


def test_records_are_grouped_by_their_film() -> None:
    groups = film_groups(RECORDS)
    assert groups is not None
    assert groups.tolist() == np.repeat(np.arange(4), 6).tolist()
    plain = [Record(f"{n:032x}", f"file:///{n}.png", "", {}, {}, 1, 1) for n in range(3)]
    assert film_groups(plain) is None
    own = np.arange(27)
    assert with_films_together(own[:3], plain) is not None
    assert len(set(with_films_together(own, [*RECORDS, *plain]).tolist())) == 7


def test_an_evaluation_asks_no_frame_of_the_same_film() -> None:
    found = evaluate(RECORDS, VECTORS, "label", k=1)
    for row, others in zip(found.held.rows.tolist(), found.held.neighbours.tolist(), strict=True):
        assert RECORDS[row].fields["film"] not in {RECORDS[one].fields["film"] for one in others if one >= 0}
    assert found.frames == 24
    assert "kept together: frames of one film (24 images); each image on its own" in " ".join(found.remarks)
    assert found.apart is not None
    assert found.apart.accuracy == 1.0
    # Whoever asks which film an image is of, asks its frames.
    assert evaluate(RECORDS, VECTORS, "film", k=1).accuracy == 1.0


def test_one_film_alone_cannot_be_evaluated() -> None:
    with pytest.raises(Unanswerable):
        evaluate(RECORDS[:6], VECTORS[:6], "label", k=1)


def test_an_audit_calls_no_moments_of_a_film_duplicates() -> None:
    same = VECTORS.copy()
    same[:6] = same[0]
    same[12] = same[6]
    found = audit(RECORDS, same, "label")
    assert [len({record.fields["film"] for record in each.records}) for each in found.duplicates] == [2]


def test_of_a_film_one_frame_is_suggested() -> None:
    open_records = [
        Record(one.id, one.uri, one.digest, {"film": one.fields["film"]}, {}, 1, 1) for one in RECORDS
    ]
    found = suggest(open_records, VECTORS, "label", count=10)
    assert sorted(str(each.record.fields["film"]) for each in found.images) == ["a", "b", "c", "d"]
    assert (found.series or "").startswith("frames of one film")


def test_drift_exchanges_whole_films() -> None:
    with_films = compare(RECORDS[:12], VECTORS[:12], RECORDS[12:], VECTORS[12:], DriftOptions())
    plain = [
        Record(f"{n:032x}", f"file:///{n}.png", one.digest, {}, {}, 1, 1) for n, one in enumerate(RECORDS)
    ]
    # Four films say little, where twenty-four pictures would say much.
    singly = compare(plain[:12], VECTORS[:12], plain[12:], VECTORS[12:], DriftOptions())
    assert with_films.p_value > 0.2 > singly.p_value


def test_of_a_sample_no_frame_asks_its_own_film(tmp_path: Path) -> None:
    with lookalike.open(f"sqlite:///{tmp_path}/films.db") as database:
        database.create("films", "efficientnet-lite0")
        space = database["films"].info().space
        wide = np.zeros((24, space.dimension), np.float32)
        wide[:, :16] = VECTORS
        database.store.put("films", RECORDS, {space: wide})
        found = database["films"].evaluate("label", k=1, sample=10)
    for row, others in zip(found.held.rows.tolist(), found.held.neighbours.tolist(), strict=True):
        asked = {found.records[one].fields["film"] for one in others if one >= 0}
        assert found.records[row].fields["film"] not in asked
    assert found.frames == 10
    assert found.apart is not None
    assert found.apart.accuracy == 1.0
