"""What a store cannot hold of the contract, and why: `make test` prints it, nothing else is left out."""

from __future__ import annotations

CANNOT: dict[tuple[str, str], str] = {
    # ("TestOracleStore", "test_of_the_contract"): "the reason",
}
"""By the class of the store's tests and the name of the contract's test."""
