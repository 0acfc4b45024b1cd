"""What every store promises.

A store's tests subclass `StoreContract` and say in the fixture `url` where an empty store is. Those who say
in the fixture `damage` too how what is stored is changed behind the store's back have that tested as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.store_contract.collections import CollectionsContract
from lookalike.testing.store_contract.damage import Damage, DamageContract
from lookalike.testing.store_contract.records import RecordsContract
from lookalike.testing.store_contract.search import SearchContract
from lookalike.testing.store_contract.sequences import SequencesContract
from lookalike.testing.store_contract.sharing import SharingContract
from lookalike.testing.store_contract.vectors import VectorsContract
from lookalike.testing.store_contract.words import WordsContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class StoreContract(
    CollectionsContract,
    VectorsContract,
    RecordsContract,
    SearchContract,
    WordsContract,
    DamageContract,
    SharingContract,
    SequencesContract,
):
    """One suite for all stores."""

    @pytest.fixture
    def url(self) -> str:
        """Name a store that is empty."""
        raise NotImplementedError("a store's tests say where it is")

    @pytest.fixture
    def damage(self) -> Damage:
        """Change what is stored of a record of the collection `parts`, without the store's knowledge."""
        pytest.skip("the store's tests do not say how what is stored is damaged: see the fixture `damage`")

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with open_store(url) as store:
            yield store

    @pytest.fixture
    def other(self, url: str) -> Iterator[Store]:
        """Open the same store a second time, as another process would."""
        with open_store(url) as store:
            yield store
