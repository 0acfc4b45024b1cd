"""Tables as others make them, and what NumPy says of their columns."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLORS = ("red", "blue", "초록")


def numbers(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of any length."""
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def nearest(query: NDArray[Any], vectors: NDArray[Any], ids: list[Any], k: int) -> list[tuple[str, float]]:
    """Return ids and cosines of the nearest rows, as anybody would compute them."""
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    cosines = wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)
    ranked = sorted(zip(cosines.tolist(), map(str, ids), strict=True), key=lambda hit: (-hit[0], hit[1]))
    return [(identity, cosine) for cosine, identity in ranked[:k]]


def make_items(file: Path, count: int = 60) -> NDArray[np.float32]:
    """Make a table as an application does that keeps NumPy's bytes, and return its vectors."""
    vectors = numbers(count)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 7")
        connection.execute(
            "CREATE TABLE items (item_id INTEGER PRIMARY KEY, image_path TEXT, color TEXT, price REAL,"
            " embedding BLOB, extra TEXT)"
        )
        connection.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)",
            [
                (n + 1, f"a/{n}.jpg", COLORS[n % 3], n / 2, row.tobytes(), json.dumps({"kind": "x", "n": n}))
                for n, row in enumerate(vectors)
            ],
        )
        connection.commit()
    return vectors
