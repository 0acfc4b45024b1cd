"""The contracts of a store and of an embedder, for the tests of whoever writes one.

Subclass `stores.StoreContract` and say in the fixture `url` where an empty store is; subclass
`embedders.EmbedderContract`, or `TextEmbedderContract`, and say in the fixture `opener` how it is opened;
`pytest` does the rest. They need what `pip install 'lookalike[testing]'` installs.
"""

from __future__ import annotations

from lookalike.errors import ExtraMissing

try:
    import pytest
except ImportError as error:
    raise ExtraMissing("lookalike.testing", "testing") from error

# They are no test files by name; their assertions are to be explained all the same.
pytest.register_assert_rewrite(
    "lookalike.testing.stores", "lookalike.testing.store_contract", "lookalike.testing.embedders"
)
