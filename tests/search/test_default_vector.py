"""Questions that are asked while another process chooses another default vector."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import SpaceMismatch
from lookalike.search.neighbours import ask_vector
from lookalike.stores.registry import open_store
from lookalike.types import CollectionInfo, Space, VectorInfo

SPACE = Space("some-model", "ab" * 32, 4)
OTHER = Space("another-model", "cd" * 32, 4)


def test_what_one_model_embedded_is_never_asked_of_the_vectors_of_another(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        store.create("parts", SPACE)
        before = store.add_vector("parts", "other", OTHER)
        asked = []

        def question(_collection: CollectionInfo, vector: VectorInfo) -> str:
            asked.append(vector.name)
            if len(asked) == 1:
                store.set_default("parts", "other")
                raise SpaceMismatch("parts", "what is there now", "what was there before")
            return vector.name

        with pytest.raises(SpaceMismatch, match=r"another-model .* these are of some-model"):
            ask_vector(store, before, None, question)
        assert asked == ["image"]
        # Named, it is the same vector still.
        asked.clear()
        assert ask_vector(store, before, "image", question)[0] == "image"
        assert asked == ["image", "image"]
