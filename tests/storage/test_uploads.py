"""Abandoned multipart uploads: old ones below a folder are aborted, all others stay."""

from __future__ import annotations

import datetime as dt
import logging
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from urllib3.exceptions import ProtocolError

from imagefeatures import storage
from imagefeatures.storage import uploads
from imagefeatures.storage.retry import Transient
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET

REAL = pytest.mark.parametrize("store", ["rclone", "minio"], indirect=True)


@pytest.fixture
def client(store: str) -> Any:
    import boto3

    return boto3.client("s3")


def begun(client: Any, *uris: str) -> None:
    """Begin an upload for each URI, send one part, and leave it unfinished."""
    for uri in uris:
        name = {"Bucket": BUCKET, "Key": uri.removeprefix(f"s3://{BUCKET}/")}
        upload = client.create_multipart_upload(**name)["UploadId"]
        client.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"part")


def unfinished(client: Any, folder: str) -> list[str]:
    uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    uris = [f"s3://{BUCKET}/{upload['Key']}" for upload in uploads]
    return sorted(uri.removeprefix(folder) for uri in uris if uri.startswith(folder))


BEGUN = ("/lake/warehouse/a", "/lake/warehouse/b/c", "/lake/warehouse-2/d", "/lake/e", "/elsewhere/f")


@REAL
def test_a_running_upload_is_left_alone(store: str, client: Any) -> None:
    begun(client, *(store + name for name in BEGUN))
    assert storage.abort_old_uploads(f"{store}/lake/warehouse") == 0
    assert unfinished(client, store) == sorted(BEGUN)


@pytest.mark.parametrize("store", ["moto", "rclone", "minio"], indirect=True)
def test_old_uploads_of_the_folder_are_aborted_and_no_others(
    store: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "OLD", dt.timedelta(seconds=-10))
    begun(client, *(store + name for name in BEGUN))
    storage.write(f"{store}/lake/warehouse/whole", b"whole")
    assert storage.abort_old_uploads(f"{store}/lake/warehouse", remove=False) == 2
    assert unfinished(client, store) == sorted(BEGUN)
    assert storage.abort_old_uploads(f"{store}/lake/warehouse") == 2
    assert unfinished(client, store) == sorted(BEGUN[2:])
    assert storage.read(f"{store}/lake/warehouse/whole") == b"whole"
    assert storage.abort_old_uploads(f"{store}/lake/warehouse") == 0


def test_local_files_have_no_uploads(tmp_path: Any) -> None:
    assert storage.abort_old_uploads(f"file://{tmp_path}") == 0


def page(*keys: str, age: dt.timedelta, more: bool) -> tuple[int, dict[str, str], bytes]:
    begun = f"{dt.datetime.now(dt.UTC) - age:%Y-%m-%dT%H:%M:%S.000Z}"
    uploads = "".join(
        f"<Upload><Key>{key}</Key><UploadId>id</UploadId><Initiated>{begun}</Initiated></Upload>" for key in keys
    )
    end = f"<IsTruncated>{str(more).lower()}</IsTruncated><NextKeyMarker>{keys[-1]}</NextKeyMarker>"
    text = f"<ListMultipartUploadsResult><Bucket>b</Bucket>{uploads}{end}</ListMultipartUploadsResult>"
    return 200, {}, text.encode()


def test_uploads_older_than_a_day_are_aborted_on_every_page(scripted: ScriptedStore) -> None:
    scripted.script = [
        page("lake/1", "other/2", age=dt.timedelta(hours=25), more=True),
        page("lake/3", age=dt.timedelta(hours=23), more=True),
        page("lake/4", age=dt.timedelta(days=400), more=False),
        *[(204, {}, b"")] * 2,
    ]
    assert storage.abort_old_uploads(f"s3://{BUCKET}/lake/") == 2
    assert scripted.asked == ["GET", "GET", "GET", "DELETE", "DELETE"]


def test_only_so_many_pages_are_read(scripted: ScriptedStore) -> None:
    scripted.script = [page("other/2", age=dt.timedelta(days=2), more=True)] * 100
    assert storage.abort_old_uploads(f"s3://{BUCKET}/lake/") == 0
    assert len(scripted.asked) == uploads.PAGES


@pytest.mark.parametrize(
    "answer",
    [no(403, "AccessDenied"), no(501, "NotImplemented"), no(503, "SlowDown"), (200, {}, b"<html>"), (200, {}, b"")],
    ids=["403", "501", "503", "a web page", "nothing"],
)
def test_a_store_that_cannot_list_uploads_is_no_error(scripted: ScriptedStore, answer: Any) -> None:
    scripted.script = [answer]
    assert storage.abort_old_uploads(f"s3://{BUCKET}/lake/") == 0
    assert len(scripted.asked) == 1


def test_an_upload_that_may_not_be_aborted_is_no_error(scripted: ScriptedStore) -> None:
    scripted.script = [page("lake/1", age=dt.timedelta(days=2), more=False), no(403, "AccessDenied")]
    assert storage.abort_old_uploads(f"s3://{BUCKET}/lake/") == 0


# A client whose answers are given


NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)


def listed(*keys: str, age: dt.timedelta = dt.timedelta(days=2), **fields: Any) -> dict[str, Any]:
    begun = [{"Key": key, "UploadId": f"id of {key}", "Initiated": NOW - age} for key in keys]
    date = {"HTTPHeaders": {"date": format_datetime(NOW, usegmt=True)}}
    return {"ResponseMetadata": date, "Uploads": begun, **fields}


def client_of(*pages: dict[str, Any]) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """A client that answers with these pages, its requests for them, and those to abort an upload."""
    left, asked, aborted = list(pages), list[dict[str, Any]](), list[dict[str, Any]]()

    def page(**request: Any) -> dict[str, Any]:
        asked.append(request)
        return left.pop(0)

    return SimpleNamespace(
        list_multipart_uploads=page, abort_multipart_upload=lambda **request: aborted.append(request)
    ), asked, aborted  # fmt: skip


def test_each_page_begins_where_the_last_one_ended() -> None:
    client, asked, aborted = client_of(
        listed("lake/1", IsTruncated=True, NextKeyMarker="lake/1", NextUploadIdMarker="id"),
        listed(IsTruncated=True, NextKeyMarker="lake/2"),
        listed("lake/3", IsTruncated=False, NextKeyMarker="lake/3"),
    )
    assert uploads.abort_old_uploads(client, "b", "lake/") == 2
    assert asked == [
        {"Bucket": "b"},
        {"Bucket": "b", "KeyMarker": "lake/1", "UploadIdMarker": "id"},
        {"Bucket": "b", "KeyMarker": "lake/2", "UploadIdMarker": ""},
    ]
    assert aborted == [{"Bucket": "b", "Key": key, "UploadId": f"id of {key}"} for key in ("lake/1", "lake/3")]


def test_a_page_that_does_not_say_where_the_next_one_begins_is_the_last() -> None:
    for more in ({}, {"NextKeyMarker": ""}):
        client, asked, aborted = client_of(listed("lake/1", IsTruncated=True, **more))
        assert uploads.abort_old_uploads(client, "b", "lake/") == len(asked) == len(aborted) == 1


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (1, 1)])
def test_an_upload_of_a_day_to_the_second_stays(seconds: int, count: int) -> None:
    client, _, aborted = client_of(listed("lake/1", age=dt.timedelta(days=1, seconds=seconds)))
    assert uploads.abort_old_uploads(client, "b", "lake/") == len(aborted) == count


@pytest.mark.parametrize(
    "error",
    [
        Transient("no complete response in 30 s"),
        EndpointConnectionError(endpoint_url="http://store"),
        ProtocolError("cut"),
        OSError("reset"),
        KeyError("date"),
        TypeError("no date"),
        ValueError("no number"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_goes_wrong_is_written_down_and_no_error(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail(**_: object) -> None:
        raise error

    with caplog.at_level(logging.INFO):
        assert uploads.abort_old_uploads(SimpleNamespace(list_multipart_uploads=fail), "b", "lake/") == 0
    assert caplog.messages == [f"s3://b: unfinished uploads stay ({error})"]
