"""The checks of S3 stores alone, made with a bare client."""

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


@check("list: page after page", "only the first 1,000 photos of a folder are listed", needed=True)
def _pages(workspace: Workspace) -> str:
    names = [f"pages/{n}" for n in range(5)]
    for name in names:
        storage.write(workspace(name), b"")
    request = {"Bucket": workspace.bucket, "Prefix": f"{workspace.key}/pages/", "MaxKeys": 2}
    listed: list[str] = []
    for _ in names:  # bounded, since a store may return the same page again and again
        page = workspace.client.list_objects_v2(**request)
        listed += [entry["Key"].removeprefix(f"{workspace.key}/") for entry in page.get("Contents", [])]
        if not page.get("IsTruncated"):
            break
        if "NextContinuationToken" not in page:
            return "a page says that more keys follow, and not where"
        request["ContinuationToken"] = page["NextContinuationToken"]
    return same(names, listed)


@check("multipart upload", "Iceberg writes metadata so: no table can be published", needed=True)
def _multipart(workspace: Workspace) -> str:
    parts = [os.urandom(5 << 20), b"end"]  # 5 MiB: the smallest size of any part but the last
    upload = workspace.raw("multipart/whole")
    upload["UploadId"] = workspace.client.create_multipart_upload(**upload)["UploadId"]
    try:
        uploaded = [
            {"PartNumber": n, "ETag": workspace.client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        workspace.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": uploaded})
    except BaseException:
        workspace.client.abort_multipart_upload(**upload)
        raise
    return "" if storage.read(workspace("multipart/whole")) == b"".join(parts) else "the parts came back as other bytes"


@check("an aborted multipart upload leaves nothing", "parts that no listing shows stay and are billed")
def _aborted(workspace: Workspace) -> str:
    name = workspace.raw("aborted/upload")
    upload = workspace.client.create_multipart_upload(**name)["UploadId"]
    try:
        workspace.client.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"part")
    finally:
        workspace.client.abort_multipart_upload(**name, UploadId=upload)
    # The exact key as prefix, since some stores list unfinished uploads under no shorter one.
    page = workspace.client.list_multipart_uploads(Bucket=name["Bucket"], Prefix=name["Key"])
    unfinished = [upload["UploadId"] for upload in page.get("Uploads", [])]
    return same([], workspace.listed("aborted") + unfinished)


@check("conditional get: a stale If-Match is refused", "a replaced photo is read before it is rejected")
def _if_match(workspace: Workspace) -> str:
    name = workspace.raw("changed")
    stale = workspace.client.put_object(**name, Body=b"before")["ETag"]
    workspace.client.put_object(**name, Body=b"after, and longer")
    return _refused(workspace.client.get_object, {412}, **name, IfMatch=stale)


@check("a wrong Content-MD5 is refused", "bytes damaged during an upload are noticed only when read")
def _checksum(workspace: Workspace) -> str:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    return _refused(workspace.client.put_object, {400}, **workspace.raw("checksum"), Body=b"bytes", ContentMD5=wrong)


def _refused(request: Callable[..., object], statuses: set[int], **arguments: object) -> str:
    from botocore.exceptions import ClientError

    try:
        request(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return "" if status in statuses else f"refused with {status}"
    return "accepted"
