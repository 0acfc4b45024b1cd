"""A collection that learns what is normal, scores pictures by it, and shows where a defect is."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import lookalike
from lookalike import Anomaly, Database, FieldNotFound, InvalidArgument, Skipped, StoreCorrupt, Unanswerable
from lookalike.anomaly import fitting, memory
from lookalike.anomaly.fitting import keep_memory, kept_memory
from lookalike.stores.registry import open_store
from tests.anomaly.conftest import NORMAL
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours, save


def score(database: Database, *images: Path | bytes, false_alarm: float | None = None) -> list[Anomaly]:
    found = list(database["parts"].anomaly.score(images, false_alarm=false_alarm))
    assert all(isinstance(each, Anomaly) for each in found)
    return found  # type: ignore[return-value]


def test_defects_score_above_normal_pictures_and_are_pointed_at(db: Database, folder: Path) -> None:
    spots = score(db, *sorted((folder / "test" / "spot").iterdir()), false_alarm=0.1)
    weaves = score(db, *sorted((folder / "test" / "weave").iterdir()), false_alarm=0.1)
    for place, found in enumerate(spots):
        assert found.anomalous
        assert found.p_value == pytest.approx(1 / (NORMAL + 1))
        box = found.boxes[0]
        left = (40 + 120 * place) / 250
        assert box.left < left + 0.1 < box.right
        assert box.top < 85 / 250
        assert box.bottom > 60 / 250
        assert found.parts["small"] > found.parts["whole"]
    assert all(found.parts["whole"] == max(found.parts.values()) for found in weaves)
    assert all(found.anomalous for found in weaves)


def test_a_normal_picture_is_judged_by_the_others(db: Database, folder: Path) -> None:
    files = sorted((folder / "test" / "good").iterdir())
    found = score(db, *files, false_alarm=0.1)
    assert all(each.known for each in found)
    assert sum(each.anomalous for each in found) <= 1
    assert sorted(each.p_value for each in found) == pytest.approx(np.arange(1, NORMAL + 1) / NORMAL)
    (as_bytes,) = score(db, files[3].read_bytes(), false_alarm=0.1)
    assert (as_bytes.score, as_bytes.known) == (found[3].score, True)


def test_the_same_pictures_elsewhere_teach_the_same(
    db: Database, folder: Path, tmp_path: Path, cache: Path
) -> None:
    shutil.copytree(folder / "test" / "good", tmp_path / "moved" / "good")
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=cache, device="cpu") as other:
        other.use(MeanColours())
        other["parts"].index(tmp_path / "moved", model=MeanColours.name)
        other["parts"].anomaly.fit({"label": "good"})
        for image in (folder / "test" / "spot").iterdir():
            (here,), (there,) = score(db, image), score(other, image)
            assert (there.score, there.threshold, there.boxes) == (here.score, here.threshold, here.boxes)


def test_an_overlay_shows_the_map_and_the_boxes(db: Database, folder: Path) -> None:
    path = folder / "test" / "spot" / "0.png"
    (found,) = score(db, path, false_alarm=0.1)
    drawn = Image.open(io.BytesIO(db["parts"].overlay(path, found)))
    assert drawn.size == (448, 448)
    colours = np.asarray(drawn, int)
    red = (colours[..., 0] - colours[..., 1]) > 60
    y, x = np.nonzero(red)
    assert 60 / 250 * 448 - 20 < y.mean() < 85 / 250 * 448 + 20
    assert 40 / 250 * 448 - 20 < x.mean() < 65 / 250 * 448 + 20
    assert db["parts"].overlay(path.read_bytes(), found) == db["parts"].overlay(path, found)


def test_odd_pictures_are_scored_or_told(db: Database, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    drawn: dict[str, NDArray[Any]] = {
        "grey": random.integers(256, size=(90, 40), dtype=np.uint8),
        "deep": random.integers(65536, size=(50, 50), dtype=np.uint16),
        "line": random.integers(256, size=(3, 900, 3), dtype=np.uint8),
        "dot": np.full((1, 1), 9, np.uint8),
    }
    for name, pixels in drawn.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no picture")
    names = ["grey.png", "nosuch.png", "deep.png", "broken.png", "line.png", "dot.png"]
    found = list(db["parts"].anomaly.score([tmp_path / name for name in names]))
    assert [isinstance(each, Skipped) for each in found] == [False, True, False, True, False, False]
    for name, each in zip(names, found, strict=True):
        assert Path(each.path).name == name
        if isinstance(each, Anomaly):
            assert np.isfinite(each.anomaly_map).all()
            assert Image.open(io.BytesIO(db["parts"].overlay(tmp_path / name, each))).format == "PNG"


def test_evaluate_measures_the_collection_or_a_folder(db: Database, folder: Path) -> None:
    found, skipped = db["parts"].anomaly.evaluate(false_alarm=0.1)
    assert (found.normal, found.defective, found.masks, skipped) == (NORMAL, 4, 2, [])
    assert found.image_auroc.value == 1
    assert found.peak_on_defect is not None
    assert found.peak_on_defect.value == 1
    assert {kind.kind: kind.images for kind in found.kinds} == {"spot": 2, "weave": 2}
    again, _ = db["parts"].anomaly.evaluate(folder, false_alarm=0.1)
    # In another order of the images.
    assert again == found
    elsewhere, _ = db["parts"].anomaly.evaluate(folder, masks=folder / "ground_truth", false_alarm=0.1)
    assert elsewhere == again
    with pytest.raises(Unanswerable, match=r"no normal image: .* found are spot \(2\): --good NAME"):
        db["parts"].anomaly.evaluate(folder / "test" / "spot")
    with pytest.raises(Unanswerable, match="no defective image"):
        db["parts"].anomaly.evaluate(folder / "test" / "good")
    (folder / "empty").mkdir()
    with pytest.raises(Unanswerable, match="no images to evaluate"):
        db["parts"].anomaly.evaluate(folder / "empty")


def test_what_cannot_be_learned_is_told_and_changes_nothing(db: Database) -> None:
    parts = db["parts"]
    before = kept_memory(db.store, parts.info())
    with pytest.raises(FieldNotFound):
        parts.anomaly.fit({"colour": "red"})
    with pytest.raises(FieldNotFound):
        parts.anomaly.fit({"label": "good"}, group="part")
    with pytest.raises(Unanswerable, match="0 pictures of 'parts' match label=perfect"):
        parts.anomaly.fit({"label": "perfect"})
    with pytest.raises(Unanswerable, match="2 pictures of 'parts' match label=spot"):
        parts.anomaly.fit({"label": "spot"})
    with pytest.raises(Unanswerable, match="in 1 lots"):
        parts.anomaly.fit({"label": "good"}, group="label")
    with pytest.raises(InvalidArgument, match="12 normal pictures can promise"):
        parts.anomaly.scorer(false_alarm=0.01)
    assert kept_memory(db.store, parts.info()) == before


def test_series_of_normal_pictures_are_told_and_kept_apart(
    tmp_path: Path, lookalike: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is chosen of the patches makes no difference here, and takes long.
    monkeypatch.setattr(memory, "_KEPT", 20)
    random = np.random.default_rng(0)
    for part in range(6):
        colour = random.integers(40, 216, 3)
        for exposure in range(3):
            path = tmp_path / "pictures" / "good" / f"part{part}_{exposure}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = colour + random.integers(-9, 10, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    lookalike("index", tmp_path / "pictures", "-c", "parts", "-q")
    fit = ("anomaly", "fit", "--normal", "label=good", "-c", "parts", "--format", "jsonl")
    out, err = lookalike(*fit)
    loose = json.loads(out)
    assert (loose["lots"], loose["series"]["series"], loose["series"]["images"]) == (18, 6, 18)
    assert "more false alarms than promised. `--group series`" in err
    out, err = lookalike(*fit, "--group", "series")
    apart = json.loads(out)
    assert (apart["lots"], apart["series"], apart["series_apart"]) == (6, loose["series"], True)
    assert not err


def test_without_a_memory_it_is_told_how_to_make_one(tmp_path: Path, cache: Path) -> None:
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=cache) as database:
        database.use(MeanColours())
        for seed in range(6):
            save(tmp_path / "pictures" / "good" / f"{seed}.png", seed)
        parts = database["parts"]
        parts.index(tmp_path / "pictures", model=MeanColours.name)
        for ask in (parts.anomaly.scorer, parts.anomaly.evaluate, parts.anomaly.undo_fit):
            with pytest.raises(Unanswerable, match="anomaly fit --normal"):
                ask()
        save(tmp_path / "pictures" / "good" / "0.png", 90)
        (tmp_path / "pictures" / "good" / "1.png").unlink()
        with pytest.raises(Unanswerable, match=r"4 normal pictures .* can be read"):
            parts.anomaly.fit({"label": "good"})


def test_a_memory_is_copied_renamed_forgotten_and_its_damage_noticed(
    db: Database, folder: Path, tmp_path: Path, cache: Path
) -> None:
    path = folder / "test" / "spot" / "0.png"
    (before,) = score(db, path)
    with lookalike.open(f"sqlite:///{tmp_path}/other.db", cache=cache, device="cpu") as other:
        assert db.copy("parts", other).verified
        (found,) = score(other, path)
        assert (found.score, found.boxes) == (before.score, before.boxes)
        other["parts"].anomaly.undo_fit()
        with pytest.raises(Unanswerable):
            other["parts"].anomaly.scorer()
        assert db.copy("parts", other).verified
        info = other["parts"].info()
        data = kept_memory(other.store, info) or b""
        assert data == kept_memory(db.store, db["parts"].info())
        keep_memory(other.store, info, data.replace(b"memory 2", b"memory 1", 1))
        with pytest.raises(Unanswerable, match="made by another version of lookalike"):
            other["parts"].anomaly.scorer()
        keep_memory(other.store, info, data[:-1])
        with pytest.raises(StoreCorrupt, match="memory of normal pictures of parts does not read"):
            other["parts"].anomaly.scorer()
        keep_memory(other.store, info, data)
        other.store.rename("parts", "new")
        assert other["new"].anomaly.scorer().threshold == before.threshold


def test_a_fit_that_is_stopped_leaves_what_was_there(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept_memory(db.store, db["parts"].info())

    class Killed(BaseException):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "learn", killed)
        with pytest.raises(Killed):
            db["parts"].anomaly.fit({"label": "good"})
    assert kept_memory(db.store, db["parts"].info()) == before


@pytest.mark.slow
def test_a_fit_that_is_killed_leaves_what_was_there(db: Database, folder: Path, cache: Path) -> None:
    before = kept_memory(db.store, db["parts"].info())
    program = (
        "import sys, lookalike\n"
        "from tests.mean_colours import MeanColours\n"
        "with lookalike.open(sys.argv[1], cache=sys.argv[2]) as db:\n"
        "    db.use(MeanColours())\n"
        "    db['parts'].anomaly.fit({'label': 'good'}, progress=lambda *a: print(*a, flush=True))\n"
    )
    for after in (1, NORMAL + 2):
        words = [sys.executable, "-c", program, db.url, str(cache)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(after):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert kept_memory(db.store, db["parts"].info()) == before
    with open_store(db.url) as store:
        assert store.collection("parts").count == NORMAL + 4


def test_the_command_fits_scores_draws_evaluates_and_forgets(
    db: Database, lookalike: CommandLine, folder: Path, tmp_path: Path, cache: Path
) -> None:
    with Database(lookalike.store, cache=cache) as other:
        db.copy("parts", other)
    out, _ = lookalike("anomaly", "fit", "--normal", "label=good", "-c", "parts")
    assert "learned what is normal from 12 pictures with label=good" in out
    assert "false-alarm rate of 0.0769 at best" in out
    spot, good = folder / "test" / "spot" / "0.png", min((folder / "test" / "good").iterdir())
    shutil.copy(spot, tmp_path / "0.png")
    out, err = lookalike(
        *("anomaly", "score", spot, tmp_path / "0.png", good, tmp_path / "nosuch.jpg"),
        *("-c", "parts", "--format", "jsonl", "--overlay", tmp_path / "drawn"),
        code=1,
    )
    lines = [json.loads(line) for line in out.splitlines()]
    assert "nosuch.jpg" in err
    assert [line["anomalous"] for line in lines[:2]] == [True, True]
    assert [Path(line["overlay"]).name for line in lines] == ["0.png", "0-2.png", f"{good.stem}.png"]
    assert all(Path(line["overlay"]).is_file() for line in lines)
    assert lines[0]["boxes"][0].keys() == {"left", "top", "right", "bottom", "peak"}
    assert lines[2]["known"]
    out, _ = lookalike("anomaly", "score", spot, "-c", "parts")
    assert f"{spot}: ANOMALOUS" in out
    lookalike("index", folder / "test", "-c", "named", "-q")
    lookalike("anomaly", "fit", "--normal", "label=good", "-c", "named", "-q")
    out, _ = lookalike("classify", spot, "--by", "label", "-k", "1", "-c", "named")
    assert "held against normal pictures: ANOMALOUS" in out
    out, _ = lookalike("classify", spot, "--by", "label", "-k", "1", "-c", "named", "--format", "jsonl")
    assert json.loads(out)["anomaly"]["boxes"] == lines[0]["boxes"]
    with Database(lookalike.store, cache=cache) as other:
        info = other["named"].info()
        data = kept_memory(other.store, info) or b""
        keep_memory(other.store, info, data.replace(b"memory 2", b"memory 1", 1))
    out, err = lookalike("classify", spot, "--by", "label", "-k", "1", "-c", "named")
    assert "label = " in out
    assert "not held against normal pictures: the memory of 'named' was made by another version" in err
    out, _ = lookalike("anomaly", "evaluate", "-c", "parts", "--format", "jsonl")
    *images, summary = map(json.loads, out.splitlines())
    assert (summary["normal"], summary["defective"], summary["masks"]) == (NORMAL, 4, 2)
    assert [image["kind"] for image in images] == [*[None] * NORMAL, *["spot"] * 2, *["weave"] * 2]
    assert [image["peak_on_defect"] for image in images[NORMAL:]] == [True, True, None, None]
    assert sum(image["anomalous"] for image in images) == summary["false_alarms"] + summary["found"]
    report = tmp_path / "report.html"
    out, err = lookalike("anomaly", "evaluate", folder, "-c", "parts", "--report", report)
    assert "peak on the defect" in out
    assert "the report is in" in err
    page = report.read_text()
    shown = json.loads(re.search(r'id="picture-data">(.*?)</script>', page)[1])  # type: ignore[index]
    assert shown["missing"] == {}
    # Four defects were found, each beside its map, and two of them beside their mask.
    drawn = [name.rpartition("-")[2] for name in shown["pictures"] if name.startswith("found-")]
    assert sorted(drawn) == ["map"] * 4 + ["mask"] * 2 + ["picture"] * 4
    assert "<b>4 of 4</b>" in page
    assert re.search(r'id="missed">.*?There are none', page, re.DOTALL)
    lookalike("anomaly", "fit", "-c", "parts", code=2)
    lookalike("anomaly", "fit", "--undo", "-c", "parts")
    lookalike("anomaly", "score", spot, "-c", "parts", code=1)
