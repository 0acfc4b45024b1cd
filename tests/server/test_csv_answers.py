"""Lists as files for spreadsheets: whole, quoted, and nothing in them that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from lookalike.schemas.values import Image
from lookalike.server.http.csv_answers import Columns, csv_text
from tests.server.test_jobs import BASE, done, got
from tests.service import COLLECTION, InProcess

CSV = {"format": "csv"}
EVIL = '=HYPERLINK("http://x","보기")'


def rows(service: InProcess, path: str, **query: Any) -> list[dict[str, str]]:
    answer = service.client.get(path, params={**CSV, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.content.count(b"\r\n") == answer.content.count(b"\n")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_mistakes_are_all_in_the_file_whatever_the_page(service: InProcess) -> None:
    records, _ = service.database[COLLECTION].vectors.read()
    for record in records[:3]:
        service.database.store.relabel(COLLECTION, [(record.id, {**record.fields, "label": EVIL}, {})])
    job = done(service, "evaluations", {"by": "label"})
    page = got(service, f"{job}/evaluation/images", wrong=True, limit=200)
    found = rows(service, f"{job}/evaluation/images", wrong=True, limit=1)
    assert [each["id"] for each in found] == [each["id"] for each in page["images"]]
    for one, other in zip(found, page["images"], strict=True):
        for name in ("label", "predicted"):
            assert one[name] == (f"'{EVIL}" if other[name] == EVIL else other[name])
        assert one["field.label"] == one["label"]
        assert float(one["share"]) == other["share"]
        assert one["neighbours"] == "; ".join(each["name"] for each in other["neighbours"])
    assert len(rows(service, f"{job}/evaluation/images")) == 60


def test_every_list_of_an_audit_is_a_file(service: InProcess) -> None:
    job = done(service, "audits", {"by": "label"})
    for part in ("suspects", "outliers", "small_classes", "left_out", "pictures", "unread", "duplicates"):
        page = got(service, f"{job}/audit", list=part, limit=200)
        found = rows(service, f"{job}/audit", list=part)
        if part == "duplicates":
            shown = [
                (number, each["id"]) for number, one in enumerate(page[part], 1) for each in one["images"]
            ]
            assert [(int(each["group"]), each["id"]) for each in found] == shown
            continue
        assert len(found) == page["total"] == len(page[part])
        for one, other in zip(found, page[part], strict=True):
            if "image" in other:
                assert (one["id"], one["name"]) == (other["image"]["id"], other["image"]["name"])
    assert {"label", "suggested", "score", "field.label"} <= set(rows(service, f"{job}/audit")[0])


def test_results_of_a_search_are_a_file(service: InProcess) -> None:
    query = {"terms": [{"text": "cloth"}], "k": 7}
    hits = service.ask("search", query)["hits"]
    answer = service.client.post(f"{BASE}/search", params=CSV, json=query)
    found = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [(each["id"], float(each["similarity"])) for each in found] == [
        (each["id"], each["similarity"]) for each in hits
    ]
    assert service.client.post(f"{BASE}/search", params={"format": "xml"}, json=query).status_code == 400
    missing = service.client.post("/v1/collections/none/search", params=CSV, json=query)
    assert missing.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("text", [EVIL, "+1", "-1+2", "@SUM(A1)", "\tx", "\rx", "\n=1", " =1", "＝1"])
def test_no_cell_is_calculated(text: str) -> None:
    found = csv_text(["a"], [{"a": text}]).decode()
    (cell,) = next(csv.reader(io.StringIO(found, newline="")))
    assert cell == f"'{text}"


def test_cells_are_what_they_were() -> None:
    fields = {'a "b", c': 'two\nlines, "quoted"', "n": -1.5, "t": True, "half": "\ud800", "한국": "붓"}
    columns = Columns(Image, fields)
    row = columns.row(Image(id="0" * 32, name="a,b.png", fields={**fields, "new": "since then"}))
    text = csv_text(columns.names, [row, {}], head=True).decode("utf-8-sig")
    (found, empty) = csv.DictReader(io.StringIO(text, newline=""))
    assert found == {
        "id": "0" * 32,
        "name": "a,b.png",
        'a "b", c': 'two\nlines, "quoted"',
        "n": "-1.5",
        "t": "true",
        "half": "\\ud800",
        "한국": "붓",
    }
    assert set(empty.values()) == {""}
