"""Pictures that are dark, bright, blank, blurred, of little information, or of odd shape or size are told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from PIL import Image

from lookalike.audit.picture_quality import KINDS, judge_pictures, read_file
from lookalike.errors import UnusableImage
from lookalike.images.quality import measure
from lookalike.types import Record
from lookalike.uris import file_uri, record_id
from tests.cli.json_lines import lines
from tests.conftest import CommandLine


def photograph() -> Image.Image:
    return Image.open(textile_simulated_root() / "nominal" / "textile_0001.jpg").convert("RGB")


def spoilt() -> dict[str, Image.Image]:
    """Return one picture of each kind, made of a photograph that is of none."""
    good = photograph()
    levels = np.asarray(good, np.float32)
    return {
        "dark": Image.fromarray((levels * 0.2).astype(np.uint8)),
        "bright": Image.fromarray((250 + levels * 0.02).astype(np.uint8)),
        "blank": Image.new("RGB", good.size, (120, 130, 140)),
        # A blurred picture of low contrast passes for a drawing with much of one shade, as in cleanvision.
        "blurred": Image.linear_gradient("L").resize(good.size).convert("RGB"),
        "low information": Image.fromarray(np.where(levels > 150, 200, 100).astype(np.uint8)),
        "odd shape": good.crop((0, 0, 250, 40)),
        "odd size": good.resize((2500, 2500)),
    }


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Twelve photographs, and one picture of each kind, whose name is the kind."""
    root = tmp_path / "parts"
    root.mkdir()
    files = sorted((textile_simulated_root() / "nominal").iterdir())[:12]
    for file in files:
        (root / file.name).write_bytes(file.read_bytes())
    for kind, image in spoilt().items():
        image.save(root / f"{kind}.png")
    return sorted(root.iterdir())


def record(path: Path) -> Record:
    data = path.read_bytes()
    uri = file_uri(path)
    return Record(record_id(uri), uri, hashlib.sha256(data).hexdigest(), {}, {}, len(data), 1)


def test_each_kind_is_found_and_no_photograph_is_of_one(tmp_path: Path, parts: list[Path]) -> None:
    records = [record(path) for path in parts]
    found = judge_pictures(records, tmp_path / "cache")
    assert found.measured == len(records)
    kinds = {kind.name: kind for kind in found.kinds}
    assert list(kinds) == [*(kind.name for kind in KINDS), "odd size"]
    for each in found.findings:
        kind = kinds[each.kind]
        assert each.value < kind.low or each.value > kind.high
        assert Path(each.record.uri).suffix == ".png"  # none of the photographs, which are JPEG
    for name in kinds:
        assert any(
            each.kind == name and f"/{name.replace(' ', '%20')}.png" in each.record.uri
            for each in found.findings
        ), name
    # A blank picture tells nothing, and is sharp nowhere: it may be of several kinds.
    assert {each.kind for each in found.findings if "/blank.png" in each.record.uri} >= {
        "blank",
        "low information",
    }
    # What is cut off is of another size, too.
    assert found.count("odd size") == 2


def test_what_was_measured_is_not_read_again_and_what_is_gone_is_told(
    tmp_path: Path, parts: list[Path]
) -> None:
    records = [record(path) for path in parts]
    read: list[str] = []

    def reading(one: Record) -> bytes:
        read.append(one.uri)
        return read_file(one)

    parts[0].unlink()
    parts[1].write_bytes(b"something else")
    first = judge_pictures(records, tmp_path / "cache", read=reading)
    assert sorted(read) == sorted(each.uri for each in records)
    assert [(each.record, each.reason) for each in first.unread] == [
        (records[0], "the file is gone"),
        (records[1], "the file is another than was indexed: index again"),
    ]
    read.clear()
    again = judge_pictures(records, tmp_path / "cache", read=reading)
    assert sorted(read) == sorted(each.uri for each in records[:2])
    assert again == first


def test_a_record_of_no_file_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match="no file of this machine"):
        read_file(Record("0" * 32, "s3://bucket/a.jpg", "0" * 64, {}, {}, 1, 1))
    with pytest.raises(UnusableImage, match="gone"):
        read_file(Record("0" * 32, file_uri(tmp_path), "0" * 64, {}, {}, 1, 1))


def test_the_size_is_that_of_the_file_and_not_of_what_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    photograph().resize((3000, 2000)).save(path)
    quality = measure(path.read_bytes(), "large.jpg")
    assert (quality.width, quality.height) == (3000, 2000)
    assert quality.shape == pytest.approx(2 / 3)


def test_audit_without_labels_measures_the_pictures(lookalike: CommandLine, parts: list[Path]) -> None:
    root = parts[0].parent
    lookalike("index", root, "--labels", "none", "-c", "parts", "--quiet")
    (root / "dark.png").unlink()
    out, _ = lookalike("audit", "-c", "parts", "--report", "audit.html")
    assert "below 0.32" not in out  # the only dark one is gone
    assert "the file is gone" in out
    assert "square root of the area, in pixels" in out
    page = Path("audit.html").read_text(encoding="utf-8")
    assert "Quality of the pictures" in page
    assert "such as" in page
    out, _ = lookalike("audit", "-c", "parts", "--format", "jsonl")
    told = lines(out)
    pictures = told[0]["pictures"]
    assert (pictures["measured"], pictures["unread"]) == (18, 1)
    counts = {kind["kind"]: kind["count"] for kind in pictures["kinds"]}
    assert sum(counts.values()) == sum(line["type"] == "picture" for line in told)
    assert counts["dark"] == 0
    assert counts["bright"] >= 1
