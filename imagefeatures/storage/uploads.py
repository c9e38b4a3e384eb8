"""Multipart uploads that nobody will finish: their parts are in no listing, and are paid for.

We write each object with one PUT. pyiceberg writes its metadata as multipart uploads, so a register that is killed may
leave one. Killed once, it is small; over years of nightly runs it adds up, and nobody sees it.
"""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from typing import Any

OLD = dt.timedelta(days=1)
"""No write of ours lasts so long: what is older belongs to a process that has ended."""

PAGES = 20
"""At most so many are looked through, 1,000 uploads each: the bucket may be shared with others that never clean up."""


def abort_old_uploads(client: Any, bucket: str, prefix: str) -> int:
    """Abort the unfinished uploads below a prefix that are older than OLD. Returns how many.

    The age is by the store's own clock. Raises what the client raises.
    """
    # Without a Prefix: MinIO finds uploads by exact key or in the whole bucket, not below a folder.
    request: dict[str, Any] = {"Bucket": bucket}
    old = []
    for _ in range(PAGES):
        page = client.list_multipart_uploads(**request)
        now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        found = page.get("Uploads", [])
        old += [one for one in found if one["Key"].startswith(prefix) and now - one["Initiated"] > OLD]
        if not page.get("IsTruncated") or not page.get("NextKeyMarker"):
            break
        request |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
    for one in old:
        client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
    return len(old)
