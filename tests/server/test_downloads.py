"""Chosen images as a file."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

from lookalike.server.routes.downloads import _paths
from lookalike.uris import uri_path
from tests.service import COLLECTION, InProcess

ADDRESS = f"/v1/collections/{COLLECTION}/downloads"


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_table_has_the_chosen_in_their_order_with_their_fields(service: InProcess) -> None:
    hits = service.client.post(
        f"/v1/collections/{COLLECTION}/browse", json={"order": "id", "limit": 3}
    ).json()["images"]
    ids = [hits[2]["id"], hits[0]["id"], "0" * 32, hits[2]["id"]]
    answer = service.client.post(ADDRESS, json={"ids": ids})
    assert answer.headers["content-disposition"] == 'attachment; filename="images.csv"'
    rows = rows_of(answer.content)
    assert [row["id"] for row in rows] == [hits[2]["id"], hits[0]["id"]]
    place = str(uri_path(service.database[COLLECTION].record(ids[0]).uri).parent)
    assert place not in answer.text
    assert [row["name"] for row in rows] == [hits[2]["name"], hits[0]["name"]]
    assert [row["label"] for row in rows] == [hits[2]["fields"]["label"], hits[0]["fields"]["label"]]
    path = rows[0]["link"].removeprefix("http://127.0.0.1:8000")
    assert path.startswith("/v1/")
    assert service.client.get(path).content


def test_labels_are_put_right_in_the_table_and_read_back(service: InProcess, tmp_path: Path) -> None:
    collection = service.database[COLLECTION]
    first, second = collection.vectors.read()[0][:2]
    for name in ("id", "name", "field.id"):
        service.database.store.relabel(
            COLLECTION, [(each.id, {**each.fields, name: "-1"}, {}) for each in (first, second)]
        )
        first, second = collection.records.get([first.id, second.id])
    answer = service.client.post(ADDRESS, json={"ids": [first.id, second.id]})
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert head[:4] == ["id", "name", "uri", "link"]
    assert sorted(head[4:]) == ["field.field.id", "field.id", "field.name", "label", "mixed"]
    rows[0][head.index("label")] = "global"
    rows[1][head.index("field.id")] = "seven"
    rows[1][head.index("field.field.id")] = "eight"
    table = tmp_path / "images.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    said = collection.corrections.read(table, fields=["label", "id", "name", "field.id"])
    assert said.skipped == []
    done = collection.corrections.apply(said.corrections)
    changes = {each.after.id: each.changes for each in done}
    assert changes == {
        first.id: {} if first.fields["label"] == "global" else {"label": (first.fields["label"], "global")},
        second.id: {"id": ("-1", "seven"), "field.id": ("-1", "eight")},
    }


def test_an_archive_has_the_table_and_a_link_for_each(service: InProcess) -> None:
    hits = service.client.post(
        f"/v1/collections/{COLLECTION}/browse", json={"order": "id", "limit": 2}
    ).json()["images"]
    asked = {"ids": [each["id"] for each in hits], "format": "zip", "address": "https://images.example.org"}
    answer = service.client.post(ADDRESS, json=asked)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        rows = rows_of(archive.read("images.csv"))
        for row, each in zip(rows, hits, strict=True):
            assert row["link"] == (
                f"https://images.example.org/v1/collections/{COLLECTION}/images/{each['id']}/original"
            )
            assert archive.read(f"{each['name']}.url").decode().splitlines()[1] == f"URL={row['link']}"


def test_names_in_an_archive_stay_below_it_and_are_unlike() -> None:
    names = ["a/b.png", "A/B.png", "/../../etc/x", "C:\\one?.png", "", ".", "한글/사진 1.jpg", "a\ud800b"]
    assert _paths(names) == [
        "a/b.png.url", "A/B.png-2.url", "_/_/etc/x.url", "C__one_.png.url", "_.url", "_-2.url",
        "한글/사진 1.jpg.url", "a?b.url".replace("?", "_"),
    ]  # fmt: skip
    # A name in UTF-8 has 255 bytes at most, and many may have one name.
    many = _paths([f"{'한' * 84}.jpg"] * 10_000)
    assert len(set(many)) == 10_000
    assert max(len(each.encode()) for each in many) <= 255


def test_nothing_and_another_address_are_refused(service: InProcess) -> None:
    refused: list[dict[str, Any]] = [
        {"ids": []},
        {"ids": ["a"], "address": "javascript:alert(1)"},
        {"ids": ["a"] * 10_001},
    ]
    for asked in refused:
        assert service.client.post(ADDRESS, json=asked).status_code == 422
