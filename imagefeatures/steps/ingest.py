"""ingest: freeze the bytes of every object of the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from imagefeatures import schemas
from imagefeatures.errors import Rejected
from imagefeatures.manifest import item_of, read_manifest
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Receipt, ShardWork
from imagefeatures.steps import INGEST


def run_shard(run: Run, shard: int) -> Receipt:
    """Freeze one shard: every listed object ends as a row with its bytes, or rejected with a reason.

    Raises StoreError when the store stays away: that is nobody's image's fault.
    """
    work = ShardWork(run.layout, INGEST, shard)
    listed = read_manifest(run, shard).to_pylist()
    frozen = []
    for row, fetched in zip(listed, _fetch_all(run, listed), strict=True):
        if isinstance(fetched, Rejected):
            work.reject(row, fetched)
        else:
            image_id = hashlib.sha256(fetched).hexdigest()
            frozen.append({**row, "size": len(fetched), "image_id": image_id, "data": fetched})
    raw = pa.Table.from_pylist(frozen, schema=schemas.RAW)
    frozen.clear()  # the table has the bytes now
    # The bytes are compressed images already.
    return work.finish(len(listed), raw, compression="none", use_dictionary=False)


def _fetch_all(run: Run, listed: list[dict[str, Any]]) -> Iterator[bytes | Rejected]:
    """Each object's bytes, or why it is rejected. What needs no download is decided without one."""
    refused = [_refusal(run, row["size"], row["bad_key"]) for row in listed]
    wanted = [item_of(row) for row, why in zip(listed, refused, strict=True) if not why]
    fetched = run.source.fetch(wanted)
    for row, why in zip(listed, refused, strict=True):
        data = why or next(fetched)
        if isinstance(data, bytes) and row["size"] is None:
            data = _refusal(run, len(data), None) or data
        yield data


def _refusal(run: Run, size: int | None, bad_key: str | None) -> Rejected | None:
    """Why an object is rejected for its name or its size. size: in bytes; None: not known yet."""
    cap = run.dataset.limits.max_bytes
    if bad_key:
        return Rejected(Reason.BAD_KEY, bad_key)
    if size == 0:
        return Rejected(Reason.EMPTY_OBJECT, "it has 0 bytes")
    if size is not None and size > cap:
        return Rejected(Reason.TOO_LARGE, f"it has {size:,} bytes, limits.max_bytes is {cap:,}")
    return None
