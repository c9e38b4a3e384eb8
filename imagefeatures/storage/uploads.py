"""Abandoned multipart uploads: their parts are billed, and no listing shows them.

The pipeline writes each object with one PUT, but pyiceberg writes its metadata as multipart uploads, and ingest a shard
that is too large for memory. So a task that is killed may leave one. Years of nightly runs add up.
"""

from __future__ import annotations

import logging
from email.utils import parsedate_to_datetime
from typing import Any

from imagefeatures.storage.objects import OLD
from imagefeatures.storage.retry import LIST_SECONDS, Transient, within

PAGES = 20
"""The most pages to read, of 1,000 uploads each: other users of the bucket may never clean up theirs."""


def abort_old_uploads(client: Any, bucket: str, prefix: str, remove: bool = True) -> int:
    """Abort the unfinished uploads below a prefix that are older than OLD by the store's clock. Returns how many.

    remove: False only counts them.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        return within(LIST_SECONDS, lambda: _abort(client, bucket, prefix, remove))
    except (Transient, ClientError, BotoCoreError, HTTPError, OSError, LookupError, TypeError, ValueError) as error:
        # Whatever the reason (no permission, an unknown operation, no answer), the next run tries again.
        logging.getLogger(__name__).info("s3://%s: unfinished uploads stay (%s)", bucket, error)
        return 0


def _abort(client: Any, bucket: str, prefix: str, remove: bool) -> int:
    # Without a Prefix, since MinIO takes it for an exact key.
    request: dict[str, Any] = {"Bucket": bucket}
    old = []
    for _ in range(PAGES):
        page = client.list_multipart_uploads(**request)
        now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        uploads = page.get("Uploads", [])
        old += [upload for upload in uploads if upload["Key"].startswith(prefix) and now - upload["Initiated"] > OLD]
        if not page.get("IsTruncated") or not page.get("NextKeyMarker"):
            break
        request |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
    for upload in old if remove else ():
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(old)
