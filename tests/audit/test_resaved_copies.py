"""Pictures that were saved again: found by a look at them where the model is in doubt, and no others."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from PIL import Image, ImageEnhance

from lookalike.audit.resaved_copies import join_resaved
from lookalike.types import Record, Vectors
from lookalike.uris import file_uri, record_id
from lookalike.vectors.metric import normalise
from lookalike.vectors.near_duplicates import find_near_duplicates
from tests.conftest import CommandLine
from tests.vectors.test_near_duplicates import scattered


def saved(image: Image.Image, kind: str = "JPEG", **options: int) -> Image.Image:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return Image.open(written).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg-70": lambda image: saved(image, quality=70),
    "jpeg-30": lambda image: saved(image, quality=30),
    "webp-50": lambda image: saved(image, "WEBP", quality=50),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


def noisy(seed: int) -> Image.Image:
    """A picture of shapes with the noise of a sensor, whose copies a model finds far away."""
    draw = np.random.default_rng(seed)
    pixels = np.full((240, 320, 3), draw.integers(60, 200, 3), float)
    for _ in range(10):
        top, left = int(draw.integers(0, 200)), int(draw.integers(0, 280))
        pixels[top : top + 60, left : left + 80] = draw.integers(0, 255, 3)
    return Image.fromarray((pixels + draw.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8))


def collection(folder: Path, pictures: list[Image.Image]) -> list[Record]:
    records = []
    for place, picture in enumerate(pictures):
        path = folder / f"{place:03}.png"
        picture.save(path)
        uri = file_uri(path)
        records.append(Record(record_id(uri), uri, f"{place:064x}", {}, {}, 1, 1))
    return records


def in_doubt(count: int) -> Vectors:
    """Return vectors too far apart for near-duplicates and near enough to be looked at; then 40 others."""
    vectors = scattered(count + 40, dimension=512)
    middle = scattered(1, seed=1, dimension=512)
    return np.concatenate([normalise(middle + 0.7 * vectors[:count]), vectors[count:]])


def joined(folder: Path, pictures: list[Image.Image]) -> list[int]:
    records = collection(folder, pictures)
    vectors = in_doubt(len(records))
    elsewhere = [f"file:///elsewhere/{place}.png" for place in range(40)]
    records += [Record(record_id(uri), uri, uri, {}, {}, 1, 1) for uri in elsewhere]
    near = find_near_duplicates(vectors, [record.digest for record in records])
    assert near.groups.tolist() == list(range(len(records))), "the vectors alone should not tell"
    wide = 1 - 2 * (1 - near.threshold)
    assert (vectors[: len(pictures)] @ vectors[: len(pictures)].T).min() > wide, "all should be in doubt"
    found: list[int] = join_resaved(records, vectors, near).tolist()
    return found[: len(pictures)]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_are_found_that_vectors_leave_in_doubt(
    change: Callable[[Image.Image], Image.Image], tmp_path: Path
) -> None:
    first, second = noisy(0), noisy(1)
    assert joined(tmp_path, [first, second, change(first)]) == [0, 1, 0]


def test_different_photographs_before_one_camera_are_not_taken_for_copies(tmp_path: Path) -> None:
    files = sorted(textile_simulated_root().rglob("*.jpg"))[::150]
    pictures = [Image.open(file).convert("RGB") for file in files]
    assert joined(tmp_path, pictures) == list(range(len(files)))


def test_parts_in_one_fixture_are_not_taken_for_copies(tmp_path: Path) -> None:
    """Each is the same gradient with a texture of its own, and some have a scratch."""
    ramp = np.linspace(60, 200, 320)[None, :, None] * np.ones((240, 1, 3))
    draw = np.random.default_rng(0)
    parts = []
    for place in range(4):
        pixels = ramp + draw.normal(0, 12, ramp.shape)
        pixels[100:104, 20 : 20 + 60 * place] = 20
        parts.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    assert joined(tmp_path, parts) == list(range(4))


def test_pictures_that_show_nothing_or_are_gone_are_no_copies(tmp_path: Path) -> None:
    blank = [Image.new("RGB", (50, 50), (shade, 0, 0)) for shade in (120, 121)]
    assert joined(tmp_path, blank) == [0, 1]
    records = collection(tmp_path, [noisy(0)] * 3)
    (tmp_path / "001.png").unlink()
    (tmp_path / "002.png").write_bytes(b"no picture")
    near = find_near_duplicates(in_doubt(3)[:3], [record.digest for record in records])
    assert join_resaved(records, in_doubt(3)[:3], near).tolist() == [0, 1, 2]


def test_an_audit_names_copies_though_nothing_has_a_label(tmp_path: Path, lookalike: CommandLine) -> None:
    (tmp_path / "some").mkdir()
    for name, seed in (("1", 1), ("2", 2), ("3", 3)):
        noisy(seed).save(tmp_path / "some" / f"{name}.jpg", quality=92)
    noisy(1).save(tmp_path / "some" / "1_saved_again.jpg", quality=70)
    lookalike("index", "some", "--labels", "none")
    out, _ = lookalike("audit")
    assert "audit without labels: 4 images" in out
    assert "some/1.jpg, some/1_saved_again.jpg" in out
    assert "2.jpg" not in out
    lines = lookalike("audit", "--format", "jsonl")[0].splitlines()
    assert '"by": null' in lines[0]
    assert '"duplicates": 1' in lines[0]
    assert '"suspects"' not in lines[0]
