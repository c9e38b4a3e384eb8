"""A file that becomes one object of S3: what is asked of the store, and what becomes of its refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagefeatures import storage
from imagefeatures.errors import StoreRefused
from imagefeatures.storage import s3_upload
from imagefeatures.storage.s3_upload import S3Upload
from support.shared import BUCKET

PART = 5 << 20
"""The least that S3 takes as a part."""

PATH = f"{BUCKET}/folder/file"
KEY = {"Bucket": BUCKET, "Key": "folder/file"}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "PART", PART)
    monkeypatch.setattr(s3_upload, "RETRY_SECONDS", 2.0)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of two parts."""
    path = tmp_path / "large"
    path.write_bytes(b"a" * PART + b"b" * 7)
    return path


def unfinished(s3: Any) -> int:
    return len(s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


def refusal(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation")


def refusing(store: S3Upload, name: str, when: Callable[[dict[str, Any]], Exception | None]) -> list[dict[str, Any]]:
    """Let an operation of the store's client fail where `when` gives an error. Returns its requests."""
    real, asked = getattr(store._client, name), list[dict[str, Any]]()

    def request(**fields: Any) -> Any:
        asked.append(fields)
        if error := when(fields):
            raise error
        return real(**fields)

    setattr(store._client, name, request)
    return asked


def test_a_file_of_one_part_is_one_put(s3: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"a" * PART)
    assert S3Upload().upload(PATH, small, only_if_absent=True) is True
    assert "-" not in s3.head_object(**KEY)["ETag"]
    small.write_bytes(b"b")
    assert S3Upload().upload(PATH, small, only_if_absent=True) is False
    assert storage.read(f"s3://{PATH}") == b"a" * PART


def test_a_file_of_more_parts_than_s3_takes_has_larger_ones(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "MOST_PARTS", 2)
    file = tmp_path / "file"
    file.write_bytes(b"a" * PART + b"b" * PART + b"c" * 3)
    assert S3Upload().upload(PATH, file, only_if_absent=False) is True
    assert storage.read(f"s3://{PATH}") == file.read_bytes()
    assert s3.head_object(**KEY)["ETag"].strip('"').endswith("-2")


def test_a_part_that_is_refused_ends_the_others(s3: Any, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "PART", PART // 40)

    running, at_the_end = list[int](), list[int]()

    def refused(fields: dict[str, Any]) -> Exception:
        running.append(fields["PartNumber"])
        if fields["PartNumber"] > 1:
            time.sleep(0.3)
        running.remove(fields["PartNumber"])
        return refusal(403, "AccessDenied")

    store = S3Upload()
    asked = refusing(store, "upload_part", refused)
    refusing(store, "abort_multipart_upload", lambda _: at_the_end.append(len(running)))  # type: ignore[func-returns-value]
    with pytest.raises(StoreRefused, match="AccessDenied"):
        store.upload(PATH, large, only_if_absent=False)
    assert at_the_end == [0], "no part comes after the upload is given up"
    assert len(asked) <= 3 * s3_upload.THREADS


# The end of an upload


def test_a_store_without_conditional_writes_overwrites(s3: Any, large: Path) -> None:
    storage.write(f"s3://{PATH}", b"before")
    store = S3Upload()
    unknown = refusal(501, "NotImplemented")
    asked = refusing(store, "complete_multipart_upload", lambda fields: unknown if "IfNoneMatch" in fields else None)
    assert store.upload(PATH, large, only_if_absent=True) is True
    assert len(asked) == 2
    assert storage.read(f"s3://{PATH}") == large.read_bytes()


@pytest.mark.parametrize(
    ("status", "code", "only_if_absent"), [(403, "AccessDenied", True), (501, "NotImplemented", False)]
)
def test_an_end_that_is_refused_for_another_reason_stays_refused(
    s3: Any, large: Path, status: int, code: str, only_if_absent: bool
) -> None:
    store = S3Upload()
    answers: list[Exception | None] = [refusal(status, code), None]
    asked = refusing(store, "complete_multipart_upload", lambda _: answers.pop(0))
    with pytest.raises(StoreRefused, match=rf"^s3://{PATH}: the store refuses \({code}\)$"):
        store.upload(PATH, large, only_if_absent=only_if_absent)
    assert len(asked) == 1
    assert unfinished(s3) == 0
    assert not storage.exists(f"s3://{PATH}")


@pytest.mark.parametrize("before", [None, b"of another program"])
def test_an_upload_that_another_program_has_ended_is_told(s3: Any, large: Path, before: bytes | None) -> None:
    if before:
        storage.write(f"s3://{PATH}", before)

    def end(fields: dict[str, Any]) -> Exception:
        s3.abort_multipart_upload(**KEY, UploadId=fields["UploadId"])
        return refusal(404, "NoSuchUpload")

    store = S3Upload()
    refusing(store, "complete_multipart_upload", end)
    says = rf"^s3://{PATH}: the upload is gone; another program has ended it, try again$"
    with pytest.raises(StoreRefused, match=says):
        store.upload(PATH, large, only_if_absent=False)


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchUpload"), (412, "PreconditionFailed")])
def test_an_object_that_the_same_upload_made_though_the_store_did_not_say_so_is_made(
    s3: Any, large: Path, status: int, code: str
) -> None:
    store = S3Upload()
    real = store._client.complete_multipart_upload
    answers = [refusal(503, "SlowDown"), refusal(status, code)]

    def end(**fields: Any) -> None:
        if len(answers) == 2:
            real(**fields)
        raise answers.pop(0)

    store._client.complete_multipart_upload = end
    assert store.upload(PATH, large, only_if_absent=True) is True
    assert storage.read(f"s3://{PATH}") == large.read_bytes()


def test_what_is_there_is_kept_though_the_end_of_the_upload_is_asked_for_twice(s3: Any, large: Path) -> None:
    storage.write(f"s3://{PATH}", b"before")
    store = S3Upload()
    answers: list[Exception | None] = [refusal(503, "SlowDown")]
    refusing(store, "complete_multipart_upload", lambda _: answers.pop() if answers else None)
    assert store.upload(PATH, large, only_if_absent=True) is False
    assert storage.read(f"s3://{PATH}") == b"before"
    assert unfinished(s3) == 0


def test_parts_are_removed_also_where_the_store_is_busy_for_a_moment(s3: Any, large: Path) -> None:
    store = S3Upload()
    answers: list[Exception] = [refusal(503, "SlowDown")]
    refusing(store, "upload_part", lambda _: refusal(403, "AccessDenied"))
    asked = refusing(store, "abort_multipart_upload", lambda _: answers.pop() if answers else None)
    with pytest.raises(StoreRefused, match="AccessDenied"):
        store.upload(PATH, large, only_if_absent=False)
    assert len(asked) == 2
    assert unfinished(s3) == 0
