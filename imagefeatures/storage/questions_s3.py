"""The questions of `imagefeatures check-store` that mean nothing of files, put to a bare client."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagefeatures import storage
from imagefeatures.storage.questions import question, same

if TYPE_CHECKING:
    from imagefeatures.storage.probe import Place


@question("list: page after page", "of a large folder only the first 1,000 photos are seen", needed=True, s3_only=True)
def _pages(at: Place) -> str:
    names = [f"pages/{n}" for n in range(5)]
    for name in names:
        storage.write(at(name), b"")
    request = {"Bucket": at.bucket, "Prefix": f"{at.key}/pages/", "MaxKeys": 2}
    found: list[str] = []
    for _ in names:  # bounded: a store may give the same page for ever
        page = at.client.list_objects_v2(**request)
        found += [o["Key"].removeprefix(f"{at.key}/") for o in page.get("Contents", [])]
        if not page.get("IsTruncated"):
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    return same(names, found)


@question("multipart upload", "Iceberg's metadata is written so: no table can be published", needed=True, s3_only=True)
def _multipart(at: Place) -> str:
    parts = [os.urandom(5 << 20), b"end"]  # 5 MiB is the least that a part but the last may have
    upload = at.raw("multipart/whole")
    upload["UploadId"] = at.client.create_multipart_upload(**upload)["UploadId"]
    try:
        sent = [
            {"PartNumber": n, "ETag": at.client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        at.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    except BaseException:
        at.client.abort_multipart_upload(**upload)
        raise
    return "" if storage.read(at("multipart/whole")) == b"".join(parts) else "the parts came back as other bytes"


@question("an aborted multipart upload leaves nothing", "unseen parts stay, and are paid for", s3_only=True)
def _aborted(at: Place) -> str:
    name = at.raw("aborted/upload")
    upload = at.client.create_multipart_upload(**name)["UploadId"]
    try:
        at.client.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"part")
    finally:
        at.client.abort_multipart_upload(**name, UploadId=upload)
    # The exact key as prefix: some stores show unfinished uploads for no other.
    open_ = at.client.list_multipart_uploads(Bucket=name["Bucket"], Prefix=name["Key"]).get("Uploads", [])
    return same([], at.listed("aborted") + [one["UploadId"] for one in open_])


@question("conditional get: a stale If-Match is refused", "a replaced photo is read before it is dropped", s3_only=True)
def _if_match(at: Place) -> str:
    name = at.raw("changed")
    stale = at.client.put_object(**name, Body=b"before")["ETag"]
    at.client.put_object(**name, Body=b"after, and longer")
    return _refused(at.client.get_object, {412}, **name, IfMatch=stale)


@question("a wrong Content-MD5 is refused", "bytes damaged on their way in are noticed only when read", s3_only=True)
def _checksum(at: Place) -> str:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    return _refused(at.client.put_object, {400}, **at.raw("checksum"), Body=b"bytes", ContentMD5=wrong)


def _refused(request: Callable, statuses: set[int], **arguments: object) -> str:
    from botocore.exceptions import ClientError

    try:
        request(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return "" if status in statuses else f"refused with {status}"
    return "accepted"
