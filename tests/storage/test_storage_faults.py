"""Faults between the client and an S3 store, by a real server whose responses are scripted."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.storage import ObjectChanged, ObjectMissing, StoredObject, retry
from imagefeatures.storage import s3 as s3_store
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET


def listing(*keys: str) -> bytes:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>10</Size><ETag>v1</ETag></Contents>" for key in keys)
    return f"<ListBucketResult><Name>{BUCKET}</Name>{contents}</ListBucketResult>".encode()


WHOLE = (200, {"ETag": '"v1"'}, b"0123456789")
CUT = (200, {"ETag": '"v1"', "Content-Length": "10"}, b"01234")
KEY = StoredObject(f"s3://{BUCKET}/key", 10, "v1")
BULK_FIRST = ["GET", "GET"]
"""The requests of a fetch that fails: one by the bulk reader, then one by boto3, whose response counts."""


@pytest.mark.parametrize(
    "failure",
    [no(503, "SlowDown"), no(500, "InternalError"), no(429, "TooManyRequests"), no(408, "RequestTimeout"), CUT],
    ids=["503", "500", "429", "408", "cut body"],
)
def test_a_transient_failure_is_retried_until_it_passes(scripted: ScriptedStore, failure: Any) -> None:
    scripted.script = [failure, failure, failure, WHOLE]
    assert storage.fetch(KEY) == b"0123456789"
    assert scripted.script == []


def test_a_page_of_a_listing_that_is_no_xml_is_requested_again(scripted: ScriptedStore) -> None:
    page = listing("key")
    scripted.script = [(200, {}, page[:-9])] * 3 + [(200, {}, page)]
    assert list(storage.list_objects(f"s3://{BUCKET}")) == [KEY]
    assert scripted.script == []


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b""], ids=["a web page", "nothing"])
def test_a_server_that_answers_everything_with_200_is_not_a_store(scripted: ScriptedStore, page: bytes) -> None:
    scripted.script = [(200, {}, page)] * 5
    for request in (
        lambda: list(storage.list_objects(f"s3://{BUCKET}")),
        lambda: storage.fetch(KEY),
        lambda: storage.read(KEY.uri),
        lambda: storage.write(KEY.uri, b"bytes"),
    ):
        with pytest.raises(StoreRefused, match=r"the server there is not an S3 store \(see AWS_ENDPOINT_URL\)$"):
            request()
    assert scripted.asked == ["GET", *BULK_FIRST, "GET", "PUT"]


def test_no_request_to_delete_names_more_than_1000_keys(scripted: ScriptedStore) -> None:
    keys = [f"folder/{number:04d}" for number in range(2001)]
    scripted.script = [(200, {}, listing(*keys)), *[(200, {}, b"<DeleteResult></DeleteResult>")] * 3]
    storage.delete_folder(f"s3://{BUCKET}/folder")
    assert [body.count(b"<Key>") for body in scripted.bodies] == [0, 1000, 1000, 1]
    assert all(f"<Key>{key}</Key>".encode() in b"".join(scripted.bodies) for key in keys)


def test_a_conflict_with_another_writer_does_not_mean_that_the_object_exists(scripted: ScriptedStore) -> None:
    scripted.script = [no(409, "ConditionalRequestConflict"), (200, {"ETag": '"v1"'}, b"")]
    assert storage.write(KEY.uri, b"bytes", only_if_absent=True)
    assert scripted.asked == ["PUT", "PUT"]


def test_a_lasting_failure_is_an_error_at_the_deadline(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 1.0)
    scripted.script = [no(503, "SlowDown")] * 100
    with pytest.raises(StoreError, match=r"^s3://images/key: no answer in 1 s \(SlowDown"):
        storage.fetch(KEY)
    assert len(scripted.asked) > 2


def test_a_later_attempt_of_a_task_retries_for_a_shorter_time(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "AGAIN_SECONDS", 1.0)
    scripted.script = [no(503, "SlowDown")] * 100
    storage.shorten_retries(True)
    try:
        with pytest.raises(StoreError, match=r"no answer in 1 s"):
            storage.fetch(KEY)
    finally:
        storage.shorten_retries(False)
    assert not retry._shortened.is_set()


@pytest.mark.parametrize("code", ["ExpiredToken", "SignatureDoesNotMatch", "InvalidAccessKeyId"])
def test_a_refusal_is_final_after_one_request(scripted: ScriptedStore, code: str) -> None:
    scripted.script = [no(403, code)] * 2
    with pytest.raises(StoreRefused, match=rf"^s3://images/key: the store refuses \({code}\)$"):
        storage.fetch(KEY)
    assert scripted.asked == BULK_FIRST


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "AccessDenied", "NOT_READABLE"),
        (403, "AllAccessDisabled", "NOT_READABLE"),
        (403, "InvalidObjectState", "ARCHIVED"),
        (400, "KMS.DisabledException", "NOT_READABLE"),
        (400, "KMS.KMSInvalidStateException", "NOT_READABLE"),
        (400, "KMS.NotFoundException", "NOT_READABLE"),
        (400, "InvalidRequest", "NOT_READABLE"),  # SSE-C, without its key
        (403, "SomeCodeOfAnotherStore", "NOT_READABLE"),
        (405, "MethodNotAllowed", "NOT_READABLE"),
        (451, "UnavailableForLegalReasons", "NOT_READABLE"),
    ],
)
def test_an_object_that_was_listed_and_may_not_be_read_is_rejected_alone(
    scripted: ScriptedStore, status: int, code: str, reason: str
) -> None:
    scripted.always = no(status, code)
    with pytest.raises(Rejected, match=rf"^{reason}: the store does not let it be read \({code}\)$"):
        storage.fetch(KEY)
    assert scripted.asked == BULK_FIRST  # not tried again
    with pytest.raises(StoreRefused, match=rf"^s3://images/key: the store refuses \({code}\)$"):
        storage.read(KEY.uri)  # as a file of the lake


@pytest.mark.parametrize("body", [b"0123456789a", b"x" * 50_000_000], ids=["one byte", "50 MB"])
def test_an_object_that_has_grown_under_its_etag_is_not_read_whole(scripted: ScriptedStore, body: bytes) -> None:
    scripted.script = [(200, {"ETag": '"v1"'}, body)] * 2
    with pytest.raises(ObjectChanged, match=f"^v1 with {len(body)} bytes instead of 10$"):
        storage.fetch(KEY)
    assert scripted.asked == BULK_FIRST


def test_a_store_that_ignores_conditions_is_detected_by_the_etag(scripted: ScriptedStore) -> None:
    scripted.script = [(200, {"ETag": '"v2"'}, b"0123456789")] * 2
    with pytest.raises(ObjectChanged) as changed:
        storage.fetch(KEY)
    assert changed.value.etag == "v2"


def test_an_object_deleted_after_it_had_changed_is_missing(scripted: ScriptedStore) -> None:
    scripted.script = [no(412, "PreconditionFailed"), no(412, "PreconditionFailed"), (404, {}, b"")]
    with pytest.raises(ObjectMissing):
        storage.fetch(KEY)
    assert scripted.asked == [*BULK_FIRST, "HEAD"]


def test_an_endpoint_without_a_server_is_an_error_at_the_deadline(aws_env: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        address = f"http://127.0.0.1:{closed.server_port}"
    aws_env.setenv("AWS_ENDPOINT_URL", address)
    aws_env.setattr(s3_store, "RETRY_SECONDS", 1.0)
    start = time.monotonic()
    with pytest.raises(
        StoreError, match=rf"^s3://{BUCKET}/key: no answer in 1 s \(EndpointConnectionError: .*{address}"
    ):
        storage.read(f"s3://{BUCKET}/key")
    assert 1 <= time.monotonic() - start < 60
