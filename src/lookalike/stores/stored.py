"""Records as they are stored: labels as JSON texts, checksums, a path for people; the same in every store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from lookalike.checksums import file_checksum, labels_checksum
from lookalike.file_names import readable
from lookalike.label_normalisation import labels_digest
from lookalike.stores.checks import check_fields, metadata_text
from lookalike.stores.sql import sql_text
from lookalike.stores.wording import record_text
from lookalike.uris import local_path, uri_path

if TYPE_CHECKING:
    from lookalike.types import Fields, Metadata, Record


@dataclass(frozen=True, slots=True)
class StoredLabels:
    """Fields and metadata of one record."""

    id: str
    fields: Fields
    metadata: Metadata
    fields_text: str
    """JSON in ASCII."""
    metadata_text: str
    """JSON that UTF-8 can encode."""
    digest: str
    """`types.labels_digest`."""
    checksum: bytes
    """`labels_checksum` of id and the two texts."""

    def words(self, uri: str) -> str:
        """Return the words by which the record of that URI is found: see `wording.record_text`."""
        return record_text(uri, self.fields, self.metadata)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record, without its vectors."""

    record: Record
    labels: StoredLabels
    path: str | None
    """Of a file on this machine, as people read it, fit for SQL; None where the URI names something else."""
    checksum: bytes
    """`file_checksum`."""

    @property
    def id(self) -> str:
        """That of the record."""
        return self.record.id


def stored_labels(identity: str, fields: Fields, metadata: Metadata) -> StoredLabels:
    """Return labels as they are stored.

    Raises:
        InvalidArgument: some store could not give them back.
    """
    check_fields(identity, fields)
    said, text = json.dumps(dict(fields)), metadata_text(identity, metadata)
    checksum = labels_checksum(identity, said, text)
    return StoredLabels(identity, fields, metadata, said, text, labels_digest(fields, metadata), checksum)


def stored_record(record: Record) -> StoredRecord:
    """Return a record as it is stored.

    Raises:
        InvalidArgument: some store could not give its labels back.
    """
    return StoredRecord(
        record,
        stored_labels(record.id, record.fields, record.metadata),
        readable_path(record.uri),
        file_checksum(record.id, record.uri, record.digest, record.size, record.modified_ns),
    )


def readable_path(uri: str) -> str | None:
    """Return the path that a URI names on this machine, as people read it; None where it names none."""
    folders, _, file = uri.rpartition("/")
    if (
        not uri.startswith("file:///")
        or file in ("", ".", "..")
        or any(sign in uri for sign in ("?", "#", "%2F", "%2f"))
    ):
        path = local_path(uri)
        return None if path is None else sql_text(readable(str(path)))
    return sql_text(f"{_folder(folders)}{readable(os.fsdecode(unquote_to_bytes(file)))}")


@lru_cache(maxsize=4096)
def _folder(uri: str) -> str:
    """Return the path of a folder, as people read it, with a slash at its end; files come by the folder."""
    path = readable(str(uri_path(f"{uri}/")))
    return path if path.endswith("/") else f"{path}/"
