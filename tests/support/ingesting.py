"""Shards that are ingested, and the rows that come out."""

from __future__ import annotations

from typing import Any

from imagefeatures import manifest
from imagefeatures.plan import Run
from imagefeatures.shards import read_staged
from imagefeatures.steps import ingest
from support.listing import WORKERS, listed


def ingested(run: Run) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, str]]]:
    """Ingest all shards. Returns the frozen rows by URI, and (reason, detail) of the others by URI."""
    listing = manifest.list_source(run, WORKERS)
    receipts = [ingest.run_shard(run, shard) for shard in range(listing.shards)]
    frozen, rejected = [], []
    for receipt in receipts:
        frozen += read_staged(receipt.output).to_pylist()
        rejected += read_staged(receipt.rejected).to_pylist() if receipt.rejected else []
    uris = [row["uri"] for row in frozen + rejected]
    assert sorted(uris) == sorted(listed(run)), "every listed object ends once"
    assert sum(r.rows_in for r in receipts) == listing.objects == len(uris)
    return {row["uri"]: row for row in frozen}, {row["uri"]: (row["reason"], row["detail"]) for row in rejected}
