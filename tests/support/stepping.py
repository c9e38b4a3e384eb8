"""The steps of a run one after the other in this process, and what they left."""

from __future__ import annotations

from typing import Any

from imagefeatures import manifest
from imagefeatures.local import find_duplicates
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, read_staged
from imagefeatures.steps import ingest, resize, validate


def validated(run: Run) -> list[Receipt]:
    """Ingest and validate all shards, after the search for duplicates."""
    shards = range(manifest.list_source(run, workers=2).shards)
    for shard in shards:
        ingest.run_shard(run, shard)
    if run.dataset.duplicates == "reject":
        find_duplicates(run)
    return [validate.run_shard(run, shard) for shard in shards]


def passed(receipts: list[Receipt]) -> dict[str, dict[str, Any]]:
    return {row["uri"]: row for receipt in receipts for row in read_staged(receipt.output).to_pylist()}


def turned_away(receipts: list[Receipt]) -> dict[str, dict[str, Any]]:
    found = [r.rejected for r in receipts if r.rejected]
    return {row["uri"]: row for file in found for row in read_staged(file).to_pylist()}


def resized(run: Run) -> list[Receipt]:
    return [resize.run_shard(run, receipt.shard) for receipt in validated(run)]
