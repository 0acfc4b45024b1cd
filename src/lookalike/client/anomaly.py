"""Anomaly detection in a collection of a service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.client.connection import build_query
from lookalike.client.pictures import read_picture
from lookalike.schemas.anomaly import AnomalyAnswer, AnomalyQuery
from lookalike.search.query import RecordId

if TYPE_CHECKING:
    from lookalike.client.connection import Connection
    from lookalike.search.query import Picture


class RemoteAnomalyDetection:
    """The handle of anomaly detection in a collection of a service: `collection.anomaly`."""

    def __init__(self, connection: Connection, path: tuple[str, ...]) -> None:
        """Name a collection by its path; nothing is sent."""
        self._connection = connection
        self._path = path

    def score(
        self,
        images: Picture | RecordId | Iterable[Picture | RecordId],
        *,
        false_alarm: float | None = None,
        overlay: bool = False,
    ) -> AnomalyAnswer:
        """Tell how unlike the normal pictures of the collection pictures are, and where.

        Args:
            images: paths of this machine, bytes, or `RecordId`s of the collection; one, or several.
            false_alarm: part of normal pictures that may be called anomalous, above 0 and below 1.
            overlay: also give each picture with its anomaly map over it, as a data URL of a PNG.

        Returns:
            A score for each picture, in the order given, or the reason why there is none.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a rate out of its range.
        """
        several = [images] if isinstance(images, str | Path | bytes | RecordId) else list(images)
        ids = [each.id for each in several if isinstance(each, RecordId)]
        asked = build_query(AnomalyQuery, {"ids": ids, "false_alarm": false_alarm, "overlay": overlay})
        sent = [read_picture(each) for each in several if not isinstance(each, RecordId)]
        answer = self._connection.post_query(AnomalyAnswer, asked, sent, *self._path, "anomaly")
        # The service answers pictures first and ids then.
        first, then = iter(answer.scores[: len(sent)]), iter(answer.scores[len(sent) :])
        ordered = [next(then if isinstance(each, RecordId) else first) for each in several]
        return answer.model_copy(update={"scores": ordered})
