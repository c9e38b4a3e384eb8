"""ingest: freeze the bytes of every object of the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa

from imagefeatures import schemas, storage
from imagefeatures.errors import Rejected
from imagefeatures.manifest import read_manifest
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
            frozen.append({**row, "image_id": image_id, "data": fetched})
    raw = pa.Table.from_pylist(frozen, schema=schemas.RAW)
    frozen.clear()  # the table has the bytes now
    # The bytes are compressed images already.
    return work.finish(len(listed), raw, compression="none", use_dictionary=False)


def _fetch_all(run: Run, listed: list[dict[str, object]]) -> Iterator[bytes | Rejected]:
    """Each object's bytes, or why it is turned away. What needs no download is decided without one."""
    found = [storage.StoredObject(str(row["uri"]), int(row["size"]), str(row["etag"])) for row in listed]  # type: ignore[call-overload]
    refused = [_refusal(run, row, one) for row, one in zip(listed, found, strict=True)]
    fetched = storage.fetch_all([one for one, why in zip(found, refused, strict=True) if not why])
    for one, why in zip(found, refused, strict=True):
        yield why or _judged(one, next(fetched))


def _refusal(run: Run, row: dict[str, object], found: storage.StoredObject) -> Rejected | None:
    cap = run.dataset.limits.max_bytes
    if row["bad_key"]:
        return Rejected(Reason.BAD_KEY, str(row["bad_key"]))
    if found.size == 0:
        return Rejected(Reason.EMPTY_OBJECT, "it has 0 bytes")
    if found.size > cap:
        return Rejected(Reason.TOO_LARGE, f"it has {found.size:,} bytes, limits.max_bytes is {cap:,}")
    return None


def _judged(
    found: storage.StoredObject, fetched: bytes | storage.ObjectMissing | storage.ObjectChanged
) -> bytes | Rejected:
    if isinstance(fetched, storage.ObjectMissing):
        return Rejected(Reason.NOT_FOUND, "it was listed, and gone when it was read")
    if isinstance(fetched, storage.ObjectChanged):
        return Rejected(Reason.CHANGED_DURING_RUN, f"listed with ETag {found.etag}, read with {fetched.etag}")
    return fetched
