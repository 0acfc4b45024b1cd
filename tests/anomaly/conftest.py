"""A collection that knows what is normal, and pictures that are not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import lookalike
from lookalike import Database
from tests.mean_colours import MeanColours

NORMAL = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Path:
    """Twelve good pictures, two whole ones of another weave, and two with a spot, which have masks."""
    root = tmp_path_factory.mktemp("anomaly")
    for kind, name, count in (("good", "nominal", NORMAL), ("weave", "global", 2)):
        (root / "test" / kind).mkdir(parents=True)
        for file in textile_files[name][:count]:
            shutil.copy2(file, root / "test" / kind / file.name)
    for place, file in enumerate(textile_files["nominal"][NORMAL : NORMAL + 2]):
        left = 40 + 120 * place
        picture, mask = Image.open(file).convert("RGB"), Image.new("L", (250, 250))
        for folder, image, name in (("test", picture, ""), ("ground_truth", mask, "_mask")):
            image.paste(Image.new(image.mode, (25, 25), "white"), (left, 60))
            (root / folder / "spot").mkdir(parents=True, exist_ok=True)
            image.save(root / folder / "spot" / f"{place}{name}.png")
    return root


@pytest.fixture(scope="module")
def db(folder: Path, cache: Path) -> Iterator[Database]:
    """A database whose collection `parts` knows what is normal; another embedder is its own."""
    with lookalike.open(f"sqlite:///{folder}/parts.db", cache=cache, device="cpu") as database:
        database.use(MeanColours())
        database["parts"].index(folder / "test", model=MeanColours.name)
        report = database["parts"].anomaly.fit({"label": "good"})
        assert (report.pictures, report.lots, report.left_out) == (NORMAL, NORMAL, ())
        yield database
