"""Anomalies over HTTP, and by the client: what Python says of the same pictures."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from lookalike import Anomaly, Database, RecordId
from lookalike.client import Client, ServiceUnanswerable
from lookalike.errors import InvalidArgument
from lookalike.schemas.anomaly import AnomalyScore
from lookalike.schemas.values import Unusable
from lookalike.server.app import make_app
from lookalike.server.settings import Settings
from tests.listening import listening


def test_the_service_says_what_python_says(db: Database, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    paths = [
        folder / "test" / "spot" / "0.png",
        tmp_path / "broken.jpg",
        min((folder / "test" / "good").iterdir()),
    ]
    (identity,) = [
        record.id for record in db["parts"].vectors.read()[0] if record.uri.endswith("/spot/0.png")
    ]
    expected = list(db["parts"].anomaly.score(paths, false_alarm=0.1))
    with listening(make_app(db, Settings(max_images=4))) as address, Client(address) as client:
        answer = client["parts"].anomaly.score(paths, false_alarm=0.1, overlay=True)
        assert (answer.false_alarm, answer.normal) == (0.1, 12)
        spot, broken, good = answer.scores
        assert isinstance(broken, Unusable)
        for found, same, path in ((spot, expected[0], paths[0]), (good, expected[2], paths[2])):
            assert isinstance(found, AnomalyScore)
            assert isinstance(same, Anomaly)
            assert found.name == path.name
            assert (found.score, found.p_value, found.known) == (same.score, same.p_value, same.known)
            assert [tuple(box.model_dump().values()) for box in found.boxes] == [
                tuple(box) for box in same.boxes
            ]
            assert found.overlay is not None
            png = base64.b64decode(found.overlay.removeprefix("data:image/png;base64,"))
            assert Image.open(io.BytesIO(png)).size == (448, 448)
            assert png == db["parts"].overlay(path, same)
        assert spot.anomalous  # type: ignore[union-attr]
        # The service reads the files of its own images, and answers in the order asked.
        known, sent = client["parts"].anomaly.score([RecordId(identity), paths[2]], false_alarm=0.1).scores
        assert isinstance(known, AnomalyScore)
        assert known.name == "spot/0.png"
        assert (known.score, known.known) == (spot.score, False)  # type: ignore[union-attr]
        assert sent.name == paths[2].name
        plain = client["parts"].anomaly.score(paths[0].read_bytes(), false_alarm=0.1)
        assert plain.scores[0].overlay is None  # type: ignore[union-attr]
        with pytest.raises(InvalidArgument, match="12 normal pictures can promise"):
            client["parts"].anomaly.score(paths[0], false_alarm=0.001)
        with pytest.raises(InvalidArgument, match="at most 4"):
            client["parts"].anomaly.score([paths[0]] * 5)
        with pytest.raises(InvalidArgument, match="nothing to score"):
            client["parts"].anomaly.score([])
        db.create("empty", model="efficientnet-lite0")
        try:
            with pytest.raises(ServiceUnanswerable, match="no memory of normal pictures"):
                client["empty"].anomaly.score(paths[0])
        finally:
            db["empty"].delete()
