"""Groupings: which rows belong together, as the number of a group for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Groups: TypeAlias = NDArray[np.intp]
"""Shape (n,): the number of each row's group, from 0."""


def numbered_by_first_row(groups: NDArray[np.intp]) -> Groups:
    """Return the same groups, numbered in the order of their first rows; no number is left out."""
    _, firsts, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[inverse]


def group_members(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the rows of each group, rising; the groups in the order of their numbers."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def join_groups(groups: Groups, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Groups:
    """Join the groups of rows that are connected by pairs of rows: the connected components.

    Args:
        groups: shape (n,).
        pairs: the rows on either side of each pair, as two arrays of the same length.

    Returns:
        Shape (n,), numbered from 0; no number is left out where none was before.
    """
    # SciPy's graphs take a while to load, which no search should wait for.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = (groups[rows] for rows in pairs)
    count = int(groups.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
    components: Groups = connected_components(graph, directed=False)[1].astype(np.intp)
    return components[groups]


def merge_groupings(groupings: Sequence[Groups]) -> Groups:
    """Merge groupings of the same rows: what shares a group in any of them, or by a chain, is one group.

    Args:
        groupings: each of shape (n,); at least one.

    Returns:
        Shape (n,), numbered from 0 by first rows.
    """
    merged = groupings[0]
    for groups in groupings[1:]:
        order = np.argsort(groups, kind="stable")
        same = groups[order[1:]] == groups[order[:-1]]
        merged = join_groups(merged, (order[:-1][same], order[1:][same]))
    return numbered_by_first_row(merged)
