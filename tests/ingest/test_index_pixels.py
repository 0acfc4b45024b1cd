"""Pictures of more bits, of other formats and of nothing, indexed, searched for and shown by the program."""

from __future__ import annotations

import io
import json
import sqlite3
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.database import Database
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.ranged import range_of, ranged_name, split_name, with_range
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument, ModelNotFound
from lookalike.images.levels import AUTO, FULL, Range
from tests.conftest import CommandLine
from tests.images.test_decoding import HEIC, encoded, scene
from tests.mean_colours import picture
from tests.service import InProcess
from tests.tiff_files import Page, write_tiff


def deep(levels: Any, bits: int) -> Image.Image:
    return Image.fromarray(np.rint(np.asarray(levels) / 255 * (2**bits - 1)).astype(np.uint16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three greys as 8 and as 12 bits."""
    root = tmp_path / "deep"
    root.mkdir()
    for number in range(3):
        grey = picture(number).resize((160, 120), Image.Resampling.BICUBIC).convert("L")
        grey.putpixel((0, 0), 255)
        grey.save(root / f"{number}_8bit.png")
        deep(grey, 12).save(root / f"{number}_12bit.png")
    return root


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def similar(lookalike: CommandLine, query: Path, name: str) -> dict[str, float]:
    out, _ = lookalike("search", query, "-c", name, "-k", "20", "--format", "jsonl")
    return {Path(one["path"]).name: one["similarity"] for one in lines(out)}


def test_what_was_assumed_is_said_and_both_depths_are_alike(lookalike: CommandLine, folder: Path) -> None:
    for name in ("deep", "again"):  # the second time the features are known
        out, _ = lookalike("index", folder, "-c", name, "--labels", "none")
        assert out.count("more than 8 bits a sample: the range 0 to 4,095 was assumed") == 3
    assert similar(lookalike, folder / "0_8bit.png", "deep")["0_12bit.png"] > 0.99


def test_many_of_which_the_same_was_assumed_are_counted(lookalike: CommandLine, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(8):
        deep(picture(number).resize((40, 30)).convert("L"), 12).save(root / f"{number}.png")
    out, _ = lookalike("index", root, "-c", "many", "--labels", "none")
    assert out.count("more than 8 bits a sample") <= 2
    assert "more)" in out


def test_a_collection_keeps_its_range_and_queries_follow_it(lookalike: CommandLine, folder: Path) -> None:
    dim = Image.fromarray(np.asarray(Image.open(folder / "1_12bit.png")) // 4)
    dim.save(folder / "dim.png")
    lookalike("index", folder, "-c", "auto", "--labels", "none")
    out, _ = lookalike("index", folder, "-c", "fixed", "--labels", "none", "--range", "0:4095")
    assert "bits a sample" not in out
    out, _ = lookalike("info", "-c", "fixed")
    assert "efficientnet-lite0@0:4095" in out
    stretched = similar(lookalike, folder / "dim.png", "auto")
    fixed = similar(lookalike, folder / "dim.png", "fixed")
    assert stretched["dim.png"] == pytest.approx(1, abs=1e-5)
    assert fixed["dim.png"] == pytest.approx(1, abs=1e-5)
    # Shown by its own range it is the picture it was made of; by the camera's it is a dark one.
    assert stretched["1_12bit.png"] > 0.98
    assert fixed["1_12bit.png"] < stretched["1_12bit.png"] - 0.01
    out, _ = lookalike("index", folder, "-c", "fixed", "--labels", "none")
    assert "7 unchanged" in out
    lookalike("index", folder, "-c", "fixed", "--labels", "none", "--range", "0:4095")
    for other in ("auto", "full", "0:1023"):
        _, err = lookalike("index", folder, "-c", "fixed", "--labels", "none", "--range", other, code=1)
        assert "@0:4095" in err


def test_a_range_is_read_before_anything_is_done(lookalike: CommandLine, folder: Path) -> None:
    _, err = lookalike("index", folder, "-c", "wrong", "--range", "9", code=2)
    assert "LOW:HIGH" in err


def test_features_of_two_ranges_do_not_meet(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, levels in (("a", None), ("b", FULL), ("c", Range.parse("0:4095"))):
        with Database(f"sqlite:///{tmp_path}/x.db", cache=cache) as database:
            assert database[name].index([folder], levels=levels, labels="none").embedded == 6
    kept = [file for file in (cache / "features").iterdir() if file.suffix == ".db"]
    counts = [sqlite3.connect(file).execute("SELECT count(*) FROM features").fetchone() for file in kept]
    assert counts == [(6,)] * 3


def test_a_fit_an_evaluation_and_a_comparison_know_the_range(lookalike: CommandLine, tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    for number in range(12):
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        deep(picture(number % 2 * 40 + number).resize((48, 36)).convert("L"), 12).save(path)
    lookalike("index", root, "-c", "labelled", "--range", "0:4095")
    lookalike("fit", "-c", "labelled", "--by", "label")
    lookalike("classify", root / "a" / "0.png", "-c", "labelled", "--by", "label")
    out, _ = lookalike("compare", "-c", "labelled", "--by", "label", "-k", "1", "--format", "jsonl")
    assert {one["model"] for one in lines(out) if "model" in one} == {
        "efficientnet-lite0@0:4095",
        "efficientnet-lite0-inspect@0:4095",
        "efficientnet-lite0-inspect-3scales@0:4095",
    }


def test_blank_pictures_and_white_drawings_are_reported(lookalike: CommandLine, tmp_path: Path) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    Image.new("RGB", (60, 40), (3, 99, 201)).save(root / "flat.png")
    drawing = Image.new("RGBA", (60, 40), (255, 255, 255, 0))
    drawing.paste((255, 255, 255, 255), (10, 10, 40, 30))
    drawing.save(root / "white.png")
    scene().save(root / "profile.png", icc_profile=b"no profile")
    out, _ = lookalike("index", root, "-c", "odd", "--labels", "none", "--format", "jsonl")
    said = {Path(one["path"]).name: one["text"] for one in lines(out) if one["type"] == "remark"}
    assert said["flat.png"].startswith("blank")
    assert "onto black" in said["white.png"]
    assert "profile" in said["profile.png"]
    (summary,) = [one for one in lines(out) if one["type"] == "summary"]
    assert summary["added"] == 3


def test_no_file_of_a_folder_goes_unmentioned(lookalike: CommandLine, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    root.mkdir()
    scene().save(root / "ok.jpg")
    (root / "phone.heic").write_bytes((HEIC / "scene.heic").read_bytes())
    scene().save(root / "new.avif")
    scene().save(root / "old.jp2")
    (root / "phone.jpg").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(64))
    (root / "page.jpg").write_bytes(b"<!doctype html><html>")
    (root / "lfs.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    (root / "raw.tif").write_bytes(write_tiff(Page(np.zeros((8, 8, 1), np.uint16), tags={262: (3, [32803])})))
    for name in ("a.cr2", "b.CR2", "c.mp4", "d.psd", "e.dcm", "f.xyz", "g.json"):
        (root / name).write_bytes(b"{}")
    (root / "picture").write_bytes(encoded(scene(), "PNG"))
    (root / "picture.jpg_large").write_bytes(encoded(scene(), "PNG"))
    (root / "nothing").write_bytes(b"?")
    out, _ = lookalike("index", root, "-c", "mixed", "--labels", "none")
    flat = " ".join(out.split())
    assert "4 added, 4 skipped" in flat
    for words in (
        "phone.jpg damaged HEIC",
        "page.jpg not an image: a web page",
        "lfs.png not an image: a pointer of Git LFS",
        "raw.tif a camera's raw picture",
        "a.cr2: not looked at: .cr2, a camera's raw picture: export it as JPEG, PNG or TIFF (and 1 more)",
        "c.mp4: not looked at: .mp4, a video: `index --frames scene` takes frames of it",
        "d.psd: not looked at: .psd, Photoshop",
        "e.dcm: not looked at: .dcm, DICOM",
        "picture: not looked at: PNG by its content",
        "not known as an image: 1 .xyz, 1 without a suffix",
    ):
        assert words in flat, words


def test_a_folder_of_a_table_with_pictures_in_it_says_so(lookalike: CommandLine, tmp_path: Path) -> None:
    root = tmp_path / "hub"
    (root / "data").mkdir(parents=True)
    (root / "data/train-00000-of-00001.parquet").write_bytes(b"PAR1" + bytes(20) + b"PAR1")
    _, err = lookalike("index", root, code=1)
    assert "train-00000-of-00001.parquet: a table: pictures that stand in it are not read" in err


def test_a_folder_of_nothing_but_raw_pictures_says_what_they_are(
    lookalike: CommandLine, tmp_path: Path
) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    (root / "1.nef").write_bytes(b"MM")
    _, err = lookalike("index", root, code=1)
    assert "no image below" in err
    assert "raw picture: export it" in err


def test_names_with_a_range_are_split_and_made_again() -> None:
    four = Range.parse("0:4095")
    assert split_name("efficientnet-lite0@0:4095") == ("efficientnet-lite0", four)
    assert split_name("timm:vit@full") == ("timm:vit", FULL)
    for plain in ("efficientnet-lite0", "onnx:/a@b/c.onnx", "x@latest", "x@1.2", "onnx:/a@0:1/m.onnx"):
        assert split_name(plain) == (plain, AUTO)
    assert ranged_name("a@full", four) == "a@0:4095"
    assert ranged_name("a@full", AUTO) == "a"
    with pytest.raises(InvalidArgument):
        split_name("a@9:1")


def test_an_embedder_with_a_range_is_the_same_but_for_name_and_fingerprint(cache: Path) -> None:
    plain = open_embedder("efficientnet-lite0", cache)
    ranged = open_embedder("efficientnet-lite0@0:4095", cache)
    other = open_embedder("efficientnet-lite0@full", cache)
    assert range_of(plain) == AUTO
    assert range_of(ranged) == Range.parse("0:4095")
    assert len({plain.fingerprint, ranged.fingerprint, other.fingerprint}) == 3
    assert len(ranged.fingerprint) == 64
    assert ranged.name == "efficientnet-lite0@0:4095"
    assert with_range(plain, AUTO) is plain
    assert np.array_equal(plain.embed([scene()]), ranged.embed([scene()]))
    assert isinstance(ranged, TextEmbedder)
    assert isinstance(plain, TextEmbedder)
    assert ranged.text_fingerprint == plain.text_fingerprint
    with pytest.raises(ModelNotFound):
        open_embedder("nothing@full", cache)


def test_the_service_shows_and_finds_pictures_by_the_collections_range(
    service: InProcess, tmp_path: Path
) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    samples = np.rint(np.linspace(0, 2047, 80 * 60).reshape(60, 80)).astype(np.uint16)
    Image.fromarray(samples).save(root / "half.png")
    (root / "phone.heic").write_bytes((HEIC / "scene.heic").read_bytes())
    for name, levels, brightest in (("chosen", None, 128), ("given", Range.parse("0:2047"), 255)):
        service.database[name].index([root], levels=levels, labels="none")
        for record in service.database[name].vectors.read()[0]:
            file = Path(urllib.parse.unquote(urllib.parse.urlsplit(record.uri).path))
            address = f"/v1/collections/{name}/images/{record.id}"
            answer = service.client.get(f"{address}/thumbnail", params={"size": "64"})
            shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
            whole = service.client.get(f"{address}/original")
            assert whole.content == file.read_bytes()
            if file.suffix == ".heic":
                assert whole.headers["content-type"] == "image/heic"
                assert shown.shape == (48, 64, 3)
            else:
                assert abs(int(shown.max()) - brightest) < 8
        found = service.client.post(
            f"/v1/collections/{name}/search", files={"image": ("q.png", (root / "half.png").read_bytes())}
        )
        assert found.status_code == 200, found.text
        nearest = found.json()["hits"][0]
        assert nearest["similarity"] == pytest.approx(1, abs=1e-5)
