"""ingest: freezes the bytes of every object of the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from imagefeatures import schemas, storage
from imagefeatures.blobs import BlobWriter
from imagefeatures.errors import Rejected
from imagefeatures.forget import deny
from imagefeatures.forget.deny import DenyList
from imagefeatures.forget.fetched import held
from imagefeatures.limits import Limits
from imagefeatures.manifest import item_of, read_manifest
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Further, Receipt, ShardWork
from imagefeatures.sources import Content, Source
from imagefeatures.steps import INGEST

_NAMELESS: dict[str, Any] = {"image_id": None, "size": None, "etag": None, "label": None, "key": None}
"""What a row of a forgotten object does not tell."""

if TYPE_CHECKING:
    from imagefeatures.steps.unchanged import Versions


def run_shard(run: Run, shard: int) -> Receipt:
    """Freeze one shard: every listed object becomes a row with its bytes, or is rejected with a reason.

    Of a URL that has not changed since the table got its vector, the row is taken from there, as schemas.REUSED.
    A shard of which something is forgotten meanwhile is frozen anew without it.
    Raises StoreError when the store does not answer: that is not the fault of an image.
    """
    while True:
        before = deny.read(run.lake)
        receipt = _freeze(run, shard, before)
        # Only now: `forget` puts an image on the list, and then looks for what runs hold.
        now = deny.read(run.lake)
        if now == before or not held(receipt, now):
            return receipt
        for uri in (run.layout.receipt(INGEST, shard), *(file.uri for file in receipt.files)):
            storage.delete(uri)


def _freeze(run: Run, shard: int, forgotten: DenyList) -> Receipt:
    work = ShardWork(run.layout, INGEST, shard)
    manifest = read_manifest(run, shard)
    listed = manifest.to_pylist()
    for row in listed if forgotten else ():
        if forgotten.has_uri(row["uri"]):  # it is not fetched, and nothing but its name is told
            row.update(_NAMELESS, reason=str(deny.WHY.reason), detail=deny.WHY.detail)
    known = _known_versions(run, shard)
    same: list[int] = []
    frozen = _Frozen(manifest)
    # A shard was cut by the sizes that the listing knew or guessed: it may have many times as many bytes.
    with BlobWriter(run.layout.new_output(INGEST, shard), schemas.RAW, run.shard_bytes) as output:
        for index, fetched in enumerate(fetch_rows(run.source, run.dataset.limits, listed, known)):
            if isinstance(fetched, Rejected):
                work.reject(listed[index], fetched)
            elif isinstance(fetched, Content) and fetched.not_modified:
                same.append(index)
            else:
                content = fetched if isinstance(fetched, Content) else Content(fetched, listed[index]["etag"])
                image_id = hashlib.sha256(content.data).hexdigest()
                if forgotten.has_image(image_id):
                    work.reject(listed[index] | _NAMELESS, deny.WHY)
                    continue
                output.add(content.data)
                frozen.add(index, image_id, content)
        written = output.end(frozen.rows())
    unchanged = manifest.take(pa.array(same, pa.int64())) if same else None
    reused = [
        None if known is None or unchanged is None else known.reused(unchanged, number)
        for number in range(len(run.outputs))
    ]
    return work.finish(len(listed), written, reused[0], [Further(reused=table) for table in reused[1:]])


class _Frozen:
    """The rows of the objects that are frozen. manifest: of the shard."""

    def __init__(self, manifest: pa.Table) -> None:
        self._manifest = manifest
        self._rows: list[int] = []
        self._ids: list[str] = []
        self._sizes: list[int] = []
        self._etags: list[str | None] = []

    def add(self, row: int, image_id: str, content: Content) -> None:
        """Add an object. row: its number in the manifest. image_id: the SHA-256 of its bytes."""
        self._rows.append(row)
        self._ids.append(image_id)
        self._sizes.append(len(content.data))
        self._etags.append(content.etag)

    def rows(self) -> pa.Table:
        """schemas.RAW without their bytes."""
        manifest, count = self._manifest, len(self._rows)
        # take imports pyarrow.compute, which takes a worker as long as two hundred images: only when it must.
        rows = manifest if count == len(manifest) else manifest.take(pa.array(self._rows, pa.int64()))
        columns = {
            "image_id": pa.array(self._ids, pa.string()),
            "size": pa.array(self._sizes, pa.int64()),
            "etag": pa.array(self._etags, pa.string()),
        }
        columns |= {name: rows[name] for name in schemas.IDENTITY if name not in columns}
        schema = schemas.RAW.remove(schemas.RAW.get_field_index("data"))
        return pa.table([columns[name] for name in schemas.IDENTITY], schema=schema)


def fetch_rows(
    source: Source, limits: Limits, listed: list[dict[str, Any]], known: Versions | None = None
) -> Iterator[bytes | Content | Rejected]:
    """Each object's bytes, or why it is rejected. listed: rows of schemas.LISTING.

    Only objects that pass the listing and the check of size are read. known: the versions of URLs; of one that is still
    the newest the bytes are not read. Raises what `Source.fetch` raises.
    """
    refusals = [
        Rejected(Reason(row["reason"]), row["detail"]) if row["reason"] else _refusal(limits, row["size"])
        for row in listed
    ]
    items = [item_of(row) for row, refusal in zip(listed, refusals, strict=True) if not refusal]
    wanted = [replace(item, etag=known.etag(item.uri) or item.etag) for item in items] if known else items
    fetched = source.fetch(wanted, limits.max_bytes)
    for row, refusal in zip(listed, refusals, strict=True):
        data = refusal or next(fetched)
        not_modified = isinstance(data, Content) and data.not_modified
        if row["size"] is None and not isinstance(data, Rejected) and not not_modified:
            data = _refusal(limits, len(data.data if isinstance(data, Content) else data)) or data
        yield data


def _known_versions(run: Run, shard: int) -> Versions | None:
    """What the table knows of a shard's URLs; None where the source has none."""
    if not run.source.names_hosts:
        return None
    from imagefeatures.steps import unchanged  # it imports pyarrow.compute

    return unchanged.known_versions(run, shard)


def _refusal(limits: Limits, size: int | None) -> Rejected | None:
    """Why an object is rejected for its size. size: in bytes; None when it is not known yet."""
    cap = limits.max_bytes
    if size == 0:
        return Rejected(Reason.EMPTY_OBJECT, "it has 0 bytes")
    if size is not None and size > cap:
        return Rejected(Reason.TOO_LARGE, f"it has {size:,} bytes, limits.max_bytes is {cap:,}")
    return None
