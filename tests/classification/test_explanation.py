"""Explanations of classifications: regions that no voter has, and the pair that speaks most for the label."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import Database, Explanation, Record, RecordId, UnusableImage
from lookalike.anomaly.overlays import frame
from lookalike.classification.correspondence import best_match, novelty, whitened
from lookalike.classification.explanation import Region
from lookalike.classification.explanation_overlay import ALIKE
from lookalike.client import Client
from lookalike.embedders.builtin.patches import Patches
from lookalike.errors import InvalidArgument
from lookalike.schemas.classify import Prediction
from lookalike.schemas.explanation import Explanation as Answered
from lookalike.server.app import make_app
from lookalike.server.settings import Settings
from lookalike.uris import local_path
from tests.conftest import CommandLine
from tests.listening import listening
from tests.mean_colours import MeanColours

SIDE, SPOT = 250, 24
# Where spots are pasted, from the left and from the top: all in one cell of `MeanColours`.
PLACES = [(20, 15), (50, 20), (15, 50), (48, 52), (33, 34), (55, 5), (5, 30)]


def spotted(file: Path, left: int, top: int) -> Image.Image:
    """Return a photograph of textile with stripes pasted in."""
    picture = Image.open(file).convert("RGB")
    stripes = np.full((SPOT, SPOT, 3), 255, np.uint8)
    stripes[:, ::6] = stripes[:, 1::6] = stripes[:, 2::6] = 0
    picture.paste(Image.fromarray(stripes), (left, top))
    return picture


def holds(region: Region, left: int, top: int) -> bool:
    """Tell whether the middle of a spot is in a region."""
    x, y = (left + SPOT / 2) / SIDE, (top + SPOT / 2) / SIDE
    return region.left <= x <= region.right and region.top <= y <= region.bottom


def place_of(record: Record) -> tuple[int, int]:
    """Return where the spot of an indexed picture is."""
    return PLACES[int(Path(record.uri).stem)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Path:
    """Seven plain photographs of textile, and six with a spot; `new` has others."""
    root = tmp_path_factory.mktemp("explained")
    for kind in ("good", "spot"):
        (root / "parts" / kind).mkdir(parents=True)
    (root / "new").mkdir()
    files = textile_files["nominal"]
    for number, file in enumerate(files[:7]):
        Image.open(file).save(root / "parts" / "good" / f"{number}.png")
    for number, file in enumerate(files[7:13]):
        spotted(file, *PLACES[number]).save(root / "parts" / "spot" / f"{number}.png")
    spotted(files[13], *PLACES[6]).save(root / "new" / "spot.png")
    Image.open(files[14]).save(root / "new" / "good.png")
    return root


@pytest.fixture(scope="module")
def db(folder: Path, cache: Path) -> Iterator[Database]:
    """A database with the collection `parts`, which knows nothing of what is normal."""
    with lookalike.open(f"sqlite:///{folder}/parts.db", cache=cache, device="cpu") as database:
        database.use(MeanColours())
        database["parts"].index(folder / "parts", model=MeanColours.name)
        yield database


@pytest.fixture(scope="module")
def spot(db: Database, folder: Path) -> Explanation:
    """The explanation of a new picture with a spot, which is classified by others that have one."""
    return db["parts"].explain(folder / "new" / "spot.png", by="label")


def test_the_pair_that_speaks_most_for_a_label_is_what_the_others_lack(spot: Explanation) -> None:
    assert (spot.label, spot.runner_up) == ("spot", "good")
    assert spot.pair is not None
    assert holds(spot.pair.region, *PLACES[6])
    assert spot.pair.voter.fields["label"] == "spot"
    assert holds(spot.pair.voter_region, *place_of(spot.pair.voter))
    assert spot.pair.similarity > spot.pair.runner_up_similarity + 0.2
    voters = [each.record.fields["label"] for each in spot.compared.voters]
    assert voters.count("spot") == len(spot.compared.runners_up) <= 5
    assert {each.record.fields["label"] for each in spot.compared.runners_up} == {"good"}
    assert spot.false_alarm == pytest.approx(1 / (len(voters) + 1))
    assert (spot.left_out, spot.remarks) == ((), ())


def test_regions_that_no_voter_has_are_in_boxes(db: Database, folder: Path) -> None:
    found = db["parts"].explain(folder / "new" / "spot.png", by="label", where={"label": "good"})
    assert found.novelty_map is not None
    assert found.novelty_map.shape == (56, 56)
    assert holds(Region(*found.boxes[0][:4]), *PLACES[6])
    assert found.boxes[0].peak == found.novelty_map.max()
    assert (found.runner_up, found.pair) == (None, None)
    assert "no image has another label" in found.remarks[0]
    like = db["parts"].explain(folder / "new" / "good.png", by="label", where={"label": "good"})
    assert like.boxes == ()


def test_bytes_and_images_of_the_collection_are_explained(
    db: Database, folder: Path, spot: Explanation
) -> None:
    path = folder / "new" / "spot.png"
    sent = db["parts"].explain(path.read_bytes(), by="label")
    assert sent.line() == spot.line()
    (own,) = [each for each in db["parts"].records.uris() if each.endswith("spot/4.png")]
    (record,) = [each for batch, _ in db["parts"].vectors.scan() for each in batch if each.uri == own]
    found = db["parts"].explain(RecordId(record.id), by="label", k=1)
    assert record.id not in found.compared.records
    assert found.pair is not None
    assert holds(found.pair.region, *PLACES[4])
    assert found.novelty_map is None
    assert "fewer than two different voters" in found.remarks[0]
    with pytest.raises(UnusableImage, match="not an image"):
        db["parts"].explain(b"no picture", by="label")


def test_voters_whose_file_is_gone_or_another_are_told(db: Database, folder: Path, spot: Explanation) -> None:
    files = [local_path(each.record.uri) for each in spot.compared.voters]
    kept = {file: file.read_bytes() for file in files if file is not None}
    gone, changed, *_ = kept
    try:
        gone.unlink()
        shutil.copy(folder / "new" / "good.png", changed)
        found = db["parts"].explain(folder / "new" / "spot.png", by="label")
        reasons = {local_path(each.record.uri): each.reason for each in found.left_out}
        assert reasons.keys() == {gone, changed}
        assert "No such file" in reasons[gone]
        assert "has changed" in reasons[changed]
        assert found.pair is not None
        assert local_path(found.pair.voter.uri) not in reasons
        assert found.false_alarm == pytest.approx(1 / (len(kept) - 1))
        for file in kept:
            file.unlink(missing_ok=True)
        none = db["parts"].explain(folder / "new" / "spot.png", by="label")
        assert (none.novelty_map, none.boxes, none.pair) == (None, (), None)
        assert len(none.left_out) == len(kept)
        assert Image.open(io.BytesIO(db["parts"].overlay(folder / "new" / "spot.png", none))).width == 448
        assert "no image of one of the two labels" in none.remarks[1]
    finally:
        for file, data in kept.items():
            file.write_bytes(data)


def test_an_overlay_shows_the_pair_side_by_side(db: Database, folder: Path, spot: Explanation) -> None:
    path = folder / "new" / "spot.png"
    alone = np.asarray(Image.open(io.BytesIO(db["parts"].overlay(path, spot))), int)
    beside = np.asarray(Image.open(io.BytesIO(db["parts"].overlay(path, spot, beside=True))), int)
    assert alone.shape == (448, 448, 3)
    assert (beside[:, :448] == alone).all()
    blue = (beside == (0, 110, 255)).all(axis=2)
    assert spot.pair is not None
    for pixels, region in ((blue[:, :448], spot.pair.region), (blue[:, -448:], spot.pair.voter_region)):
        y, x = np.nonzero(pixels)
        frame = x.min(), y.min(), x.max() + 1, y.max() + 1
        assert np.allclose(np.array(frame) / 448, region, atol=0.01)


def test_a_box_is_drawn_in_a_picture_that_is_a_line() -> None:
    line = Image.new("RGB", (5, 1024))
    frame(line, [Region(0.25, 0.5, 0.35, 0.6)], ALIKE)
    assert line.getpixel((1, 520)) == ALIKE


def test_the_command_explains(
    lookalike: CommandLine, folder: Path, textile_files: dict[str, list[Path]], tmp_path: Path
) -> None:
    lookalike("index", folder / "parts", "-c", "parts", "-q")
    options = ("--by", "label", "-k", "3", "-c", "parts", "--explain", tmp_path / "drawn")
    path = folder / "new" / "spot.png"
    (tmp_path / "broken.png").write_text("no picture")
    out, err = lookalike("classify", path, tmp_path / "broken.png", *options, "--format", "jsonl", code=1)
    assert "broken.png" in err
    line = json.loads(out)
    found = line["explanation"]
    assert [each["id"] for each in line["neighbours"]] == found["voters"]
    assert found["label"] == line["votes"][0]["label"]
    assert found["pair"]["region"].keys() == {"left", "top", "right", "bottom"}
    assert Path(found["overlay"]) == tmp_path / "drawn" / "spot.png"
    with Image.open(found["overlay"]) as drawn:
        assert drawn.size == (2 * 448 + 16, 448)
    out, _ = lookalike("classify", path, *options)
    assert f"what speaks most for {found['label']} and not {found['runner_up']} is at" in out
    lookalike("classify", path, "--labels", "spot,good", "--explain", tmp_path, "-c", "parts", code=2)


def test_the_service_explains_as_python_does(
    db: Database, folder: Path, spot: Explanation, tmp_path: Path
) -> None:
    path = folder / "new" / "spot.png"
    settings = Settings(uploads=tmp_path / "uploads")
    with listening(make_app(db, settings)) as address, Client(address) as client:
        parts = client["parts"]
        (answer,) = parts.classify(path, by="label", explain=True).predictions
        assert isinstance(answer, Prediction)
        assert isinstance(answer.explanation, Answered)
        said = answer.explanation.model_dump()
        png = base64.b64decode(said.pop("overlay").removeprefix("data:image/png;base64,"))
        assert png == db["parts"].overlay(path, spot)
        assert said == spot.line()
        plain, _ = parts.classify([path, b"no picture"], by="label").predictions
        assert isinstance(plain, Prediction)
        assert plain.explanation is None
        with pytest.raises(InvalidArgument, match="at most 4 pictures"):
            parts.classify([path] * 5, by="label", explain=True)
        # What was added by the page has its file in the folder of uploads.
        picture, sent = Image.open(path), io.BytesIO()
        picture.putpixel((0, 0), (9, 9, 9))
        picture.save(sent, "png")
        (added,) = parts.add(sent.getvalue(), fields={"label": "spot"}).images
        try:
            (found,) = parts.classify([path], by="label", k=2, explain=True).predictions
            assert isinstance(found, Prediction)
            assert isinstance(found.explanation, Answered)
            assert added.id in {each.id for each in found.neighbours}
            assert found.explanation.left_out == []
            (own,) = parts.classify([RecordId(added.id)], by="label", k=2, explain=True).predictions
            assert isinstance(own, Prediction)
            assert isinstance(own.explanation, Answered)
            assert added.id not in own.explanation.voters
        finally:
            parts.remove(added.id)


def patches(random: np.random.Generator) -> Patches:
    fine, coarse = random.normal(size=(56, 56, 8)), random.normal(size=(28, 28, 16))
    return Patches(fine.astype(np.float32), coarse.astype(np.float32), np.zeros(1, np.float32))


def test_the_best_match_is_mutual_and_not_the_rivals() -> None:
    random = np.random.default_rng(0)
    image, *others = (patches(random) for _ in range(5))

    def planted(other: Patches, row: int, column: int, to_row: int, to_column: int) -> None:
        other.coarse[to_row, to_column] = image.coarse[row, column]
        other.fine[2 * to_row : 2 * to_row + 2, 2 * to_column : 2 * to_column + 2] = image.fine[
            2 * row : 2 * row + 2, 2 * column : 2 * column + 2
        ]

    planted(others[1], 3, 4, 20, 10)
    # What both sides have speaks for neither.
    planted(others[0], 9, 9, 5, 5)
    planted(others[2], 9, 9, 7, 7)
    image, *others = whitened([image, *others])
    found = best_match(image, others[:2], others[2:])
    assert found is not None
    assert found[:5] == (3, 4, 1, 20, 10)
    assert found.similarity == pytest.approx(1, abs=1e-5)
    assert found.rival < 0.9
    assert best_match(image, others[:2], others[:2]) is None


def test_novelty_is_the_distance_to_the_nearest_patch_of_others() -> None:
    random = np.random.default_rng(0)
    image, *others = (patches(random) for _ in range(4))
    image.fine[20:24, 40:44] += 9
    image.coarse[10:12, 20:22] += 9
    image, *others = whitened([image, *others])
    found, peaks = novelty(image, others)
    assert peaks.shape == (3,)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    assert 20 <= row < 24
    assert 40 <= column < 44
    assert found.max() > peaks.max()
