"""Objects are indexed as files are: what changed, what is gone, and how they are labelled."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from urllib.parse import quote

import pytest

from lookalike.errors import FolderEmpty, InvalidArgument, PathNotFound, SourceUnreachable, Unanswerable
from lookalike.images.film_sampling import Sampling
from lookalike.images.levels import AUTO
from lookalike.ingest.embedding import embed_files
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.indexed_folders import indexed_paths, remember_indexed
from lookalike.report.page import Names
from lookalike.report.thumbnails import Thumbnails
from lookalike.sources import buckets
from lookalike.sources.files import find
from lookalike.sources.locations import readable_location
from lookalike.sources.objects import Location, ObjectPath, read_ahead
from lookalike.sources.patterns import Patterns
from lookalike.types import Record
from lookalike.uris import uri_text
from tests.desk import Desk
from tests.film_files import film
from tests.mean_colours import picture
from tests.servers.s3 import Bucket

pytestmark = pytest.mark.xdist_group("s3")


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "png")
    return file.getvalue()


def fill(bucket: Bucket, *names: str) -> dict[str, bytes]:
    """Put a different picture under each name below `parts/`."""
    contents = {f"parts/{name}": png(seed) for seed, name in enumerate(names)}
    bucket.put(contents)
    return contents


def records(desk: Desk) -> dict[str, Record]:
    """Return the records by what people call their objects, without the bucket."""
    found = [record for batch, _ in desk.store.scan("parts") for record in batch]
    return {uri_text(record.uri).split("/", 3)[3]: record for record in found}


def fields(desk: Desk) -> dict[str, Mapping[str, object]]:
    return {name: dict(record.fields) for name, record in records(desk).items()}


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.removed


NAMES = ("good/a b.png", "good/한국.png", "good/100%.png", "bad/a+b.png", "bad/😀.png", "bad/?#&=.png")


def test_a_second_run_reads_no_object(desk: Desk, bucket: Bucket) -> None:
    contents = fill(bucket, *NAMES)
    first = desk.index(bucket.path("parts"))
    assert (counts(first), first.skipped) == ((6, 0, 0, 0), [])
    for name, record in records(desk).items():
        assert record.size == len(contents[name])
        assert record.modified_ns < 0
        assert record.fields["label"] == name.split("/")[1]
    read = bucket.server.requests("GetObject")
    assert read >= 6
    second = desk.index(bucket.path("parts"))
    assert counts(second) == (0, 0, 6, 0)
    assert bucket.server.requests("GetObject") == read


def test_what_was_overwritten_in_the_same_second_is_read_again(desk: Desk, bucket: Bucket) -> None:
    one, other = png(1), png(2)
    other += b"\0" * (len(one) - len(other))
    one += b"\0" * (len(other) - len(one))
    assert len(one) == len(other)
    bucket.put({"parts/good/a.png": one, "parts/good/b.png": png(3)})
    desk.index(bucket.path("parts"))
    before = records(desk)
    bucket.put({"parts/good/a.png": other})
    assert counts(desk.index(bucket.path("parts"))) == (0, 1, 1, 0)
    after = records(desk)
    assert after["parts/good/a.png"].digest != before["parts/good/a.png"].digest
    assert after["parts/good/b.png"] == before["parts/good/b.png"]
    # The same bytes again are the same object, whatever the clock says.
    bucket.put({"parts/good/a.png": other})
    assert counts(desk.index(bucket.path("parts"))) == (0, 0, 2, 0)


def test_verify_compares_the_bytes(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, *NAMES)
    desk.index(bucket.path("parts"))
    report = desk.index(bucket.path("parts"), verify=True)
    assert (report.verified, report.differing, report.unchanged) == (6, 0, 6)


def test_prune_touches_what_lies_below_and_nothing_else(desk: Desk, bucket: Bucket, tmp_path: Path) -> None:
    fill(bucket, *NAMES)
    bucket.put({"partsx/good/a.png": png(20), "other/good/b.png": png(21), "parts.png": png(22)})
    (tmp_path / "files" / "good").mkdir(parents=True)
    (tmp_path / "files" / "good" / "c.png").write_bytes(png(23))
    roots = [bucket.path(key) for key in ("parts", "partsx", "other", "parts.png")]
    assert desk.index(*roots, tmp_path / "files").added == 10
    bucket.delete("parts/bad/😀.png", "partsx/good/a.png", "other/good/b.png", "parts.png")
    (tmp_path / "files" / "good" / "c.png").unlink()
    report = desk.index(bucket.path("parts"), prune=True)
    assert counts(report) == (0, 0, 5, 1)
    assert "parts/bad/😀.png" not in records(desk)
    assert len(records(desk)) == 9
    # One that was indexed by itself is gone without doubt.
    report = desk.index(bucket.path("parts.png"), bucket.path("parts"), prune=True)
    assert report.removed == 1


def test_an_emptied_prefix_is_not_pruned_without_a_word(desk: Desk, bucket: Bucket) -> None:
    contents = fill(bucket, *NAMES)
    desk.index(bucket.path("parts"))
    bucket.delete(*contents)
    with pytest.raises(PathNotFound):
        desk.index(bucket.path("parts"))
    with pytest.raises(FolderEmpty):
        desk.index(bucket.path("parts"), prune=True)
    assert len(records(desk)) == 6
    assert desk.index(bucket.path("parts"), prune_empty=True).removed == 6


def test_a_record_moves_with_its_object(desk: Desk, bucket: Bucket) -> None:
    contents = fill(bucket, *NAMES)
    desk.index(bucket.path("parts"))
    data = contents["parts/good/한국.png"]
    bucket.put({"parts/bad/서울.png": data, "elsewhere/good/a b.png": contents["parts/good/a b.png"]})
    bucket.delete("parts/good/한국.png", "parts/good/a b.png")
    report = desk.index(bucket.path("parts"))
    assert (report.moved, report.added, report.unchanged) == (1, 0, 4)
    assert records(desk)["parts/bad/서울.png"].fields["label"] == "bad"
    # Of what is not indexed in this run nothing is asked.
    assert "parts/good/a b.png" in records(desk)


def test_hidden_objects_masks_and_what_patterns_leave_out(desk: Desk, bucket: Bucket) -> None:
    names = ("test/bad/000.png", "test/bad/001.png", "ground_truth/bad/000_mask.png", ".trash/x.png")
    fill(bucket, *names, "test/bad/.hidden.png", "test/bad/notes.txt", "test/old/9.png")
    found = find(bucket.path("parts"), Patterns(["old"]))
    assert [path.key for path in found.images if isinstance(path, ObjectPath)] == [
        "parts/test/bad/000.png",
        "parts/test/bad/001.png",
    ]
    assert {each.reason: each.count for each in found.left_out} == {
        "by --exclude old": 1,
        "in ground_truth (masks)": 1,
        "in .trash (a recycle bin)": 1,
        "with hidden names": 1,
    }
    assert all(each.example.startswith(f"{bucket.uri}/parts/") for each in found.left_out)
    # What is left out is there: it is neither indexed nor gone.
    assert desk.index(bucket.path("parts")).added == 3
    bucket.put({"parts/test/bad/old_mask.png": png(1), "parts/test/bad/old.png": png(2)})
    report = desk.index(bucket.path("parts"), prune=True)
    assert (report.added, report.removed) == (1, 0)


def test_objects_that_are_no_pictures_are_told(desk: Desk, bucket: Bucket) -> None:
    bucket.put({"parts/good/a.png": png(1), "parts/good/b.png": b"no picture", "parts/good/c.png": b""})
    report = desk.index(bucket.path("parts"))
    assert report.added == 1
    assert sorted(each.path for each in report.skipped) == [
        f"{bucket.uri}/parts/good/b.png",
        f"{bucket.uri}/parts/good/c.png",
    ]
    bucket.put({"empty/notes.txt": b"x"})
    with pytest.raises(Unanswerable, match="no image below s3://"):
        desk.index(bucket.path("empty"))


# Labels -----------------------------------------------------------------------------------------------------


def test_labels_stand_in_a_table_beside_them(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, *NAMES)
    rows = [f'"{name}",{n % 2},{"yes" if n else "no"}' for n, name in enumerate(NAMES)]
    bucket.put({"parts/metadata.csv": "\n".join(["file_name,label,checked", *rows]).encode()})
    report = desk.index(bucket.path("parts"), labels="auto")
    assert (report.labels, report.skipped, report.unlabelled) == (["table"], [], [])
    assert [fields(desk)[f"parts/{name}"]["label"] for name in NAMES] == [0, 1, 0, 1, 0, 1]
    bucket.put({"parts/metadata.csv": "\n".join(["file_name,label,checked", *rows[:-1]]).encode()})
    report = desk.index(bucket.path("parts"), labels="auto")
    assert report.unlabelled == [f"{bucket.uri}/parts/{NAMES[-1]}"]
    assert (report.relabelled, report.unchanged) == (1, 5)


def test_labels_stand_in_parquet(desk: Desk, bucket: Bucket) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    fill(bucket, "1.png", "deep/2.png")
    file = io.BytesIO()
    table = pa.table({"file_name": ["1.png", "deep/2.png", "none.png"], "part": ["hull", "wing", "x"]})
    parquet.write_table(table, file)
    bucket.put({"parts/metadata.parquet": file.getvalue()})
    report = desk.index(bucket.path("parts"), labels="auto")
    assert [each.path for each in report.skipped] == [f"{bucket.uri}/parts/metadata.parquet"]
    assert {name: said["part"] for name, said in fields(desk).items()} == {
        "parts/1.png": "hull",
        "parts/deep/2.png": "wing",
    }


def test_labels_stand_in_a_json_file_for_each(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, *NAMES)
    bucket.put(
        {
            f"parts/{name.removesuffix('png')}json": json.dumps(
                {"image": name.rpartition("/")[2], "label": f"class {n}"}
            ).encode()
            for n, name in enumerate(NAMES)
        }
    )
    report = desk.index(bucket.path("parts"), labels="auto")
    assert (report.labels, report.skipped, report.unlabelled) == (["json"], [], [])
    assert [fields(desk)[f"parts/{name}"]["label"] for name in NAMES] == [f"class {n}" for n in range(6)]


def test_label_files_that_go_while_they_are_read_are_told(desk: Desk, bucket: Bucket) -> None:
    names = [f"good/{n}.png" for n in range(40)]
    fill(bucket, *names)
    said = {
        f"parts/{name[:-3]}json": json.dumps({"image": name[5:], "label": name}).encode() for name in names
    }
    bucket.put(said)
    found = find(bucket.path("parts"))
    bucket.delete("parts/good/7.json")
    read = []
    for path in read_ahead(found.others):
        with suppress(FileNotFoundError):
            read.append((str(path), path.read_bytes()))
    assert read == sorted((f"{bucket.uri}/{key}", data) for key, data in said.items() if "/7." not in key)
    bucket.put({"parts/good/8.json": b"{"})
    report = desk.index(bucket.path("parts"), labels="json")
    assert report.unlabelled == [f"{bucket.uri}/parts/good/{n}.png" for n in (7, 8)]
    assert fields(desk)["parts/good/9.png"]["label"] == "good/9.png"


def test_listed_objects_have_the_labels_of_their_folder(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, *NAMES)
    report = desk.index(*(bucket.path(f"parts/{name}") for name in NAMES[1:5]))
    assert report.added == 4
    assert {said["label"] for said in fields(desk).values()} == {"good", "bad"}


def test_paths_make_fields(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, "good/lot7_1.png", "bad/lot8_2.png")
    desk.index(bucket.path("parts"), group_by=r"(?P<lot>lot\d)")
    assert sorted(str(said["lot"]) for said in fields(desk).values()) == ["lot7", "lot8"]


# Interrupted ------------------------------------------------------------------------------------------------


def test_a_server_that_stops_in_the_middle_ends_the_run_and_costs_nothing(
    desk: Desk, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"good/{n}.png" for n in range(60)]
    fill(bucket, *names)
    embed = desk.embedder.embed
    stopped: list[bool] = []
    # It gives up sooner than it does otherwise.
    monkeypatch.setattr(buckets, "_RETRIES", 2)
    buckets._open.cache_clear()

    def embed_and_stop(images: object) -> object:
        if desk.embedder.embedded >= 20 and not stopped:
            stopped.append(True)
            bucket.server.stop()
        return embed(images)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.embedder, "embed", embed_and_stop)
    try:
        with pytest.raises(SourceUnreachable, match="no server answers") as caught:
            desk.index(bucket.path("parts"), prune=True)
        assert str(caught.value).startswith(bucket.uri)
        kept = len(records(desk))
        assert 16 <= kept < 60
    finally:
        bucket.server.start()
        buckets._open.cache_clear()
    report = desk.index(bucket.path("parts"), prune=True)
    assert (report.added, report.unchanged, report.removed) == (60 - kept, kept, 0)


def test_a_server_that_is_started_anew_is_waited_for(
    desk: Desk, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bucket, *(f"good/{n}.png" for n in range(60)))
    embed = desk.embedder.embed
    stopped: list[Timer] = []

    def embed_and_restart(images: object) -> object:
        if desk.embedder.embedded >= 20 and not stopped:
            stopped.append(Timer(0.5, bucket.server.start))
            bucket.server.stop()
            stopped[0].start()
        return embed(images)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.embedder, "embed", embed_and_restart)
    report = desk.index(bucket.path("parts"))
    assert stopped
    assert (report.added, report.skipped) == (60, [])


def test_an_object_that_goes_while_it_is_read_is_told(desk: Desk, bucket: Bucket) -> None:
    fill(bucket, "good/1.png", "good/2.png")
    path = bucket.path("parts/good/1.png")
    opened = path.open("rb")
    bucket.put({"parts/good/1.png": png(9)})
    with pytest.raises(OSError, match="changed while it was read"):
        opened.read()
    bucket.delete("parts/good/1.png")
    (found,) = embed_files([path], desk.embedder, desk.cache)
    assert (found.path, found.reason) == (str(path), "cannot be read: no such object")  # type: ignore[union-attr]


# What is read afterwards ------------------------------------------------------------------------------------


def test_reports_show_objects(desk: Desk, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bucket, *NAMES)
    desk.index(bucket.path("parts"))
    found = list(records(desk).values())
    pictures = Thumbnails(AUTO)
    pictures.add(found, 1 << 20)
    assert len(pictures.pictures) == 6
    names = Names(found)
    assert sorted(names(record) for record in found) == sorted(NAMES)
    # Whose environment says nothing of object storage asks nobody.
    for name in bucket.server.settings():
        monkeypatch.delenv(name)
    elsewhere = Thumbnails(AUTO)
    elsewhere.add(found, 1 << 20)
    assert set(elsewhere.missing.values()) == {"it is no file on this machine"}


def test_what_was_indexed_is_noted(bucket: Bucket, tmp_path: Path) -> None:
    fill(bucket, *NAMES)
    store = f"sqlite:///{tmp_path}/a.db"
    objects = [bucket.path(key) for key in ("parts", "parts/good", "parts/good/a b.png")]
    paths: list[Location] = [*objects, tmp_path]
    assert remember_indexed(tmp_path, store, "parts", paths) is None
    assert indexed_paths(tmp_path, store)["parts"].folders == (tmp_path, bucket.path("parts"))


# Manifests --------------------------------------------------------------------------------------------------


def by_manifest(bucket: Bucket, manifest: Location, desk: Desk) -> tuple[IndexReport, int, int]:
    """Index by a manifest; return the report, and how often the server was asked for a list, and for one."""
    before = [bucket.server.requests(what) for what in ("ListObjectsV2", "HeadObject")]
    report = desk.index(bucket.path("parts"), manifest=manifest, labels="auto")
    after = [bucket.server.requests(what) for what in ("ListObjectsV2", "HeadObject")]
    return report, after[0] - before[0], after[1] - before[1]


def inventory(bucket: Bucket, contents: Mapping[str, bytes], kind: str) -> None:
    """Put an S3 Inventory of some objects, as its documentation shows one."""
    rows = [
        (key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        for key, data in contents.items()
    ]
    if kind == "CSV":
        lines = [
            f'"{bucket.path().parts[1]}","{quote(key)}","true","{size}","{tag}"' for key, size, tag in rows
        ]
        lines.append(f'"{bucket.path().parts[1]}","parts/good/old.png","false","1","x"')
        data = gzip.compress("\n".join(lines).encode())
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        file = io.BytesIO()
        names = ("key", "size", "e_tag")
        table = {name: [row[n] for row in rows] for n, name in enumerate(names)}
        parquet.write_table(pa.table({**table, "bucket": [bucket.path().parts[1]] * len(rows)}), file)
        data = file.getvalue()
    manifest = {
        "sourceBucket": bucket.path().parts[1],
        "destinationBucket": f"arn:aws:s3:::{bucket.path().parts[1]}",
        "version": "2016-11-30",
        "fileFormat": kind,
        "fileSchema": "Bucket, Key, IsLatest, Size, ETag",
        "files": [{"key": "inventory/data/1.gz", "size": len(data), "MD5checksum": ""}],
    }
    bucket.put({"inventory/data/1.gz": data, "inventory/manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_an_inventory_takes_the_place_of_a_listing(desk: Desk, bucket: Bucket, kind: str) -> None:
    contents = fill(bucket, *NAMES)
    bucket.put({"beside/good/x.png": png(50)})
    inventory(bucket, {**contents, "beside/good/x.png": png(50)}, kind)
    manifest = bucket.path("inventory/manifest.json")
    report, listed, asked = by_manifest(bucket, manifest, desk)
    assert (counts(report), report.skipped) == ((6, 0, 0, 0), [])
    assert sorted(records(desk)) == sorted(contents)
    # Of the parts of the inventory itself only.
    assert asked <= 2
    # The folder that labels are looked for in is asked whether it is one.
    assert listed <= 1
    # A listing finds the same.
    assert counts(desk.index(bucket.path("parts"))) == (0, 0, 6, 0)


def test_a_plain_list_and_a_table_are_manifests(desk: Desk, bucket: Bucket, tmp_path: Path) -> None:
    contents = fill(bucket, *NAMES)
    lines = [*contents, "parts/good/none.png", "parts//odd.png", f"{bucket.uri}/parts/good/none either.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    report, _, asked = by_manifest(bucket, tmp_path / "list.txt", desk)
    assert counts(report) == (6, 0, 0, 0)
    assert asked == 8
    assert sorted(each.path for each in report.skipped) == [
        f"{bucket.uri}/parts//odd.png",
        f"{bucket.uri}/parts/good/none either.png",
        f"{bucket.uri}/parts/good/none.png",
    ]
    # What lies elsewhere is not asked for.
    lines = ["other/a.png", "s3://no-such-bucket/b.png", *contents, *contents]
    (tmp_path / "bare.csv").write_text("\n".join(f'"{line}"' for line in lines), encoding="utf-8")
    report, _, asked = by_manifest(bucket, tmp_path / "bare.csv", desk)
    assert (counts(report), report.skipped, asked) == ((0, 0, 6, 0), [], 6)
    rows = [f'"x";"{bucket.path(key)}"' for key in list(contents)[:3]]
    (tmp_path / "semicolons.csv").write_text("\n".join(["Name;URI", *rows]), encoding="utf-8")
    assert counts(by_manifest(bucket, tmp_path / "semicolons.csv", desk)[0]) == (0, 0, 3, 0)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(Unanswerable, match="names no object below"):
        by_manifest(bucket, tmp_path / "empty.csv", desk)
    (tmp_path / "beside.txt").write_text("\n".join(lines[:2]), encoding="utf-8")
    with pytest.raises(Unanswerable, match=r"names no object below .*; the first that it names is .*other/a"):
        by_manifest(bucket, tmp_path / "beside.txt", desk)
    rows = [f'"{bucket.path(key)}"' for key in list(contents)[:4]]
    (tmp_path / "some.csv").write_text("\n".join(["URI", *rows]), encoding="utf-8")
    report = desk.index(bucket.path("parts"), manifest=tmp_path / "some.csv", prune=True)
    # What a manifest does not name is not gone for that.
    assert counts(report) == (0, 0, 4, 0)
    assert len(records(desk)) == 6


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "name,size\na.png,1\n", "no column key or uri"),
        ("bare.csv", "bucket,a.png,1\n", "of an S3 Inventory, manifest.json says"),
        ("cut.csv.gz", "\x1f\udc8b\x08\0\0\0\0\0\0\udcffxxxx", "no text in UTF-8"),
        ("a.json", '{"files": []}', "no manifest.json of an S3 Inventory"),
        ("a.parquet", "no parquet", "cannot be read as Parquet"),
        ("a.txt", "\udcff", "no text in UTF-8"),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
def test_what_is_no_manifest_is_refused(
    desk: Desk, bucket: Bucket, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidArgument, match=said):
        desk.index(bucket.path("parts"), manifest=tmp_path / name)
    with pytest.raises(PathNotFound):
        desk.index(bucket.path("parts"), manifest=tmp_path / f"no-{name}")
    with pytest.raises(InvalidArgument, match="the paths beside it are s3://"):
        desk.index(tmp_path, manifest=tmp_path / name)


def test_films_in_a_bucket_are_read_in_parts(desk: Desk, bucket: Bucket, tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4", codec="libx264").read_bytes()
    bucket.put({"parts/good/한 +%.mp4": data, "parts/good/b.png": png(1)})
    every = Sampling.parse("every:1s")
    assert counts(desk.index(bucket.path("parts"), frames=every)) == (4, 0, 0, 0)
    found = fields(desk)
    assert found["parts/good/한 +%.mp4#t=2"] == {
        "label": "good", "film": "good/한 +%.mp4", "time": 2.0,
    }  # fmt: skip
    read = bucket.server.requests("GetObject")
    assert counts(desk.index(bucket.path("parts"), frames=every)) == (0, 0, 4, 0)
    assert bucket.server.requests("GetObject") == read
    place = readable_location(records(desk)["parts/good/한 +%.mp4#t=1"].uri)
    assert place is not None
    assert hashlib.sha256(place.read_bytes()).hexdigest() == (
        records(desk)["parts/good/한 +%.mp4#t=1"].digest
    )
    bucket.put({"parts/good/한 +%.mp4": film(tmp_path / "b.mp4", codec="libx264", seconds=2).read_bytes()})
    assert counts(desk.index(bucket.path("parts"), frames=every)) == (0, 2, 1, 1)
