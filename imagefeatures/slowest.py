"""Which shards of a run took longest: a row of features.runs keeps them, and a page shows them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagefeatures.shards import Receipt

SLOWEST = 5
"""So many shards are named."""


def slowest(receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    """The slowest shards by seconds, the slowest first, at most SLOWEST. receipts: of any steps.

    Each as the column `slowest` of features.runs has it: step, shard, images that came in, seconds.
    """
    found = heapq.nlargest(SLOWEST, receipts, key=lambda receipt: receipt.seconds)
    return [{"step": one.step, "shard": one.shard, "images": one.rows_in, "seconds": one.seconds} for one in found]
