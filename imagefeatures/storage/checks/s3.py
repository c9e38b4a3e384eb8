"""The checks of `imagefeatures check-store` that mean nothing of files, made by a bare client."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from functools import partial

from imagefeatures import storage
from imagefeatures.storage.checks import common
from imagefeatures.storage.checks.common import Check, same
from imagefeatures.storage.checks.workspace import Workspace

CHECKS: list[Check] = []

check = partial(common.check, s3_only=True, into=CHECKS)


@check("list: page after page", "of a large folder only the first 1,000 photos are seen", needed=True)
def _pages(workspace: Workspace) -> str:
    names = [f"pages/{n}" for n in range(5)]
    for name in names:
        storage.write(workspace(name), b"")
    request = {"Bucket": workspace.bucket, "Prefix": f"{workspace.key}/pages/", "MaxKeys": 2}
    found: list[str] = []
    for _ in names:  # bounded: a store may give the same page for ever
        page = workspace.client.list_objects_v2(**request)
        found += [o["Key"].removeprefix(f"{workspace.key}/") for o in page.get("Contents", [])]
        if not page.get("IsTruncated"):
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    return same(names, found)


@check("multipart upload", "Iceberg's metadata is written so: no table can be published", needed=True)
def _multipart(workspace: Workspace) -> str:
    parts = [os.urandom(5 << 20), b"end"]  # 5 MiB is the least that a part but the last may have
    upload = workspace.raw("multipart/whole")
    upload["UploadId"] = workspace.client.create_multipart_upload(**upload)["UploadId"]
    try:
        sent = [
            {"PartNumber": n, "ETag": workspace.client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        workspace.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    except BaseException:
        workspace.client.abort_multipart_upload(**upload)
        raise
    return "" if storage.read(workspace("multipart/whole")) == b"".join(parts) else "the parts came back as other bytes"


@check("an aborted multipart upload leaves nothing", "unseen parts stay, and are paid for")
def _aborted(workspace: Workspace) -> str:
    name = workspace.raw("aborted/upload")
    upload = workspace.client.create_multipart_upload(**name)["UploadId"]
    try:
        workspace.client.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"part")
    finally:
        workspace.client.abort_multipart_upload(**name, UploadId=upload)
    # The exact key as prefix: some stores show unfinished uploads for no other.
    open_ = workspace.client.list_multipart_uploads(Bucket=name["Bucket"], Prefix=name["Key"]).get("Uploads", [])
    return same([], workspace.listed("aborted") + [one["UploadId"] for one in open_])


@check("conditional get: a stale If-Match is refused", "a replaced photo is read before it is dropped")
def _if_match(workspace: Workspace) -> str:
    name = workspace.raw("changed")
    stale = workspace.client.put_object(**name, Body=b"before")["ETag"]
    workspace.client.put_object(**name, Body=b"after, and longer")
    return _refused(workspace.client.get_object, {412}, **name, IfMatch=stale)


@check("a wrong Content-MD5 is refused", "bytes damaged on their way in are noticed only when read")
def _checksum(workspace: Workspace) -> str:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    return _refused(workspace.client.put_object, {400}, **workspace.raw("checksum"), Body=b"bytes", ContentMD5=wrong)


def _refused(request: Callable, statuses: set[int], **arguments: object) -> str:
    from botocore.exceptions import ClientError

    try:
        request(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return "" if status in statuses else f"refused with {status}"
    return "accepted"
