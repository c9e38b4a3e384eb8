"""Whether ingest has fetched something that is forgotten."""

from __future__ import annotations

from imagefeatures.forget.deny import DenyList
from imagefeatures.shards import Receipt, read_staged


def held(receipt: Receipt, forgotten: DenyList) -> set[str | None]:
    """`DenyList.held` of what ingest has frozen, reused or rejected of a shard: no later step has another object.

    Reads no bytes of images. Raises AuditFailed where a file of the receipt has changed or is gone.
    """
    found: set[str | None] = set()
    for file in (receipt.output, receipt.reused, receipt.rejected):
        if file:
            reason = ["reason"] if file is receipt.rejected else []
            found |= forgotten.held(read_staged(file, ["image_id", "uri", *reason]))
    return found
