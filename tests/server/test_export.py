"""The route that sends a collection as a table."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.service import COLLECTION, InProcess

EXPORT = f"/v1/collections/{COLLECTION}/export"


def test_a_table_has_ids_names_and_fields_and_no_place_of_this_machine(service: InProcess) -> None:
    answer = service.client.get(EXPORT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{COLLECTION}.csv"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    records, vectors = service.database[COLLECTION].vectors.read()
    assert [row["id"] for row in rows] == [record.id for record in records]
    assert [row["label"] for row in rows] == [record.fields["label"] for record in records]
    assert [row["name"] for row in rows] == [service.service.roots.name(record) for record in records]
    assert b"file:" not in answer.content

    lines = service.client.get(EXPORT, params={"format": "jsonl", "vectors": True}).text.splitlines()
    first = json.loads(lines[0])
    assert first.keys() == {"id", "name", "fields", "vectors"}
    assert first["vectors"]["image"] == vectors[0].tolist()


def test_a_filter_or_ids_choose(service: InProcess) -> None:
    where = {"where": json.dumps({"label": ["local"]}), "format": "jsonl"}
    lines = service.client.get(EXPORT, params=where).text.splitlines()
    records = service.database[COLLECTION].vectors.read({"label": "local"})[0]
    assert [json.loads(line)["id"] for line in lines] == [record.id for record in records]
    ids = [record.id for record in records[::-5]]
    lines = service.client.get(EXPORT, params={"format": "jsonl", "id": ids}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"where": "{"}, 400),
        ({"where": '{"label": "local"}'}, 400),
        ({"where": '{"nosuch": [1]}'}, 400),
        ({"id": ["0" * 32]}, 404),
        ({"id": ["0" * 32], "where": '{"label": ["local"]}'}, 400),
        ({"id": ["../x"]}, 404),
        ({"format": "parquet"}, 422),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(
    service: InProcess, params: dict[str, str | list[str]], status: int
) -> None:
    answer = service.client.get(EXPORT, params=params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
