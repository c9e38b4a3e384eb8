"""What requests of the S3 store ask for, and what becomes of answers that only some stores give."""

from __future__ import annotations

import base64
import zlib
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.storage import ObjectChanged, StoredObject, retry
from imagefeatures.storage import s3 as s3_store
from imagefeatures.usage import traffic
from support.scripted_store import Answer, ScriptedStore, no
from support.shared import BUCKET

URI = f"s3://{BUCKET}/key"
WRITTEN = (200, {"ETag": '"v1"'}, b"")
NO_STORE = rf"^{URI}: the server there is not an S3 store \(see AWS_ENDPOINT_URL\)$"


def client() -> Any:
    return cast(s3_store.S3Store, storage._store("s3"))._client


def listing(*keys: str, more: bool = False) -> bytes:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>3</Size><ETag>e</ETag></Contents>" for key in keys)
    more_words = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" * more
    return f"<ListBucketResult><Name>{BUCKET}</Name>{more_words}{contents}</ListBucketResult>".encode()


def test_an_attempt_is_one_request(scripted: ScriptedStore) -> None:
    scripted.always = no(503, "SlowDown")
    with pytest.raises(ClientError):
        client().get_object(Bucket=BUCKET, Key="key")
    assert scripted.asked == ["GET"]


# Writes


def test_a_store_without_conditional_writes_overwrites(scripted: ScriptedStore) -> None:
    scripted.script = [no(501, "NotImplemented"), WRITTEN]
    assert storage.write(URI, b"bytes", only_if_absent=True) is True
    assert scripted.asked == ["PUT", "PUT"]
    assert [headers["If-None-Match"] for headers in scripted.headers] == ["*", None]
    assert scripted.bodies == [b"bytes"] * 2


@pytest.mark.parametrize(
    ("refusal", "only_if_absent"), [(no(403, "AccessDenied"), True), (no(501, "NotImplemented"), False)]
)
def test_a_write_that_is_refused_for_another_reason_stays_refused(
    scripted: ScriptedStore, refusal: Answer, only_if_absent: bool
) -> None:
    scripted.script = [refusal, WRITTEN]
    with pytest.raises(StoreRefused, match=rf"^{URI}: the store refuses "):
        storage.write(URI, b"bytes", only_if_absent=only_if_absent)
    assert scripted.asked == ["PUT"]


# Deletes


def _errors(*codes: str) -> Answer:
    errors = "".join(f"<Error><Key>key {code}</Key><Code>{code}</Code></Error>" for code in codes)
    return 200, {}, f"<DeleteResult>{errors}</DeleteResult>".encode()


@pytest.mark.parametrize(
    ("codes", "kind"),
    [(("AccessDenied",), StoreRefused), (("InternalError", "AccessDenied"), StoreError)],
)
def test_objects_that_cannot_be_deleted_are_counted_and_the_first_is_named(
    scripted: ScriptedStore, codes: tuple[str, ...], kind: type[Exception]
) -> None:
    scripted.script = [(200, {}, listing("folder/a", "folder/b")), _errors(*codes)]
    first = f"{len(codes)} objects could not be deleted, first key {codes[0]}: {codes[0]}"
    with pytest.raises(kind, match=f"^s3://{BUCKET}: {first}$"):
        storage.delete_folder(f"s3://{BUCKET}/folder")


def test_of_what_is_deleted_nothing_is_told(scripted: ScriptedStore) -> None:
    scripted.script = [(200, {}, listing("folder/a", "folder/b")), _errors()]
    storage.delete_folder(f"s3://{BUCKET}/folder")
    assert b"<Quiet>true</Quiet>" in scripted.bodies[1]


# Reads


def test_a_part_is_not_held_against_the_checksum_of_the_whole(scripted: ScriptedStore) -> None:
    crc = base64.b64encode(zlib.crc32(b"0123456789").to_bytes(4)).decode()
    whole = {"ETag": '"v1"', "x-amz-checksum-crc32": crc}
    scripted.script = [(206, whole | {"Content-Range": "bytes 3-6/10"}, b"3456")]
    assert storage.read_part(URI, 3, 4) == b"3456"
    assert scripted.headers[0]["Range"] == "bytes=3-6"


def test_behind_the_end_of_an_object_there_is_nothing_and_a_retry_asks_in_vain(scripted: ScriptedStore) -> None:
    scripted.script = [no(416, "InvalidRange")]
    assert storage.read_part(URI, 100, 4) == b""
    assert len(scripted.headers) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": '"v1"', "Content-Length": ""}, {"Content-Length": "3"}],
    ids=["neither", "no size", "no version"],
)
def test_what_is_sent_without_size_and_version_is_no_stores(scripted: ScriptedStore, headers: dict[str, str]) -> None:
    scripted.always = (200, headers, b"abc")
    with pytest.raises(StoreRefused, match=NO_STORE):
        storage.read(URI)
    with pytest.raises(StoreRefused, match=NO_STORE):
        storage.read_part(URI, 0, 3)


def test_the_listed_version_is_the_condition_of_the_request(scripted: ScriptedStore) -> None:
    scripted.script = [no(404, "NoSuchKey"), (200, {"ETag": '"v1"'}, b"abc"), (200, {"ETag": '"v1"'}, b"abc")]
    assert storage.fetch(StoredObject(URI, 3, "v1")) == storage.read(URI) == b"abc"
    assert [headers["If-Match"] for headers in scripted.headers] == ['"v1"', '"v1"', None]


def test_of_an_object_of_another_size_nothing_is_read_and_its_connection_is_closed(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.always = (200, {"ETag": '"v1"'}, b"0123456789a")
    real, bodies = client().get_object, []

    def get(**request: Any) -> Any:
        response = real(**request)
        bodies.append(response["Body"])
        return response

    monkeypatch.setattr(client(), "get_object", get)
    before = traffic.so_far().bytes_read
    with pytest.raises(ObjectChanged, match=r"^v1 with 11 bytes instead of 10$"):
        storage.fetch(StoredObject(URI, 10, "v1"))
    assert traffic.so_far().bytes_read == before
    assert [body._raw_stream.closed for body in bodies] == [True]


# Other objects, when one fails


ASK = f"/{BUCKET}?list-type=2&prefix={{}}&encoding-type=url"


@pytest.mark.parametrize("folder", [None, f"s3://{BUCKET}/near/"])
def test_others_are_looked_for_on_one_page_of_the_folder(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 0.5)
    scripted.always = (500, {}, b"")
    scripted.by_path = {
        ASK.format("near%2F"): (200, {}, listing("near/1.jpg", "near/2.jpg", more=True)),
        ASK.format(""): (200, {}, listing()),
        f"/{BUCKET}/near/2.jpg": (200, {"ETag": '"e"'}, b"abc"),
    }
    (lost,) = storage.fetch_all([StoredObject(f"s3://{BUCKET}/near/1.jpg", 3, "e")], folder)
    assert isinstance(lost, Rejected)
    assert lost.detail.endswith("while the store gives other objects")


def test_objects_outside_the_listed_folder_say_nothing_of_it(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 0.5)
    scripted.always = (500, {}, b"")
    scripted.by_path = {
        ASK.format("near%2F"): (200, {}, listing("near/1.jpg")),
        ASK.format(""): (200, {}, listing("far/2.jpg", "near/1.jpg")),
        f"/{BUCKET}/far/2.jpg": (200, {"ETag": '"e"'}, b"abc"),
    }
    with pytest.raises(StoreError, match="no answer in 0 s"):
        list(storage.fetch_all([StoredObject(f"s3://{BUCKET}/near/1.jpg", 3, "e")], f"s3://{BUCKET}/near/"))


# Counts


@pytest.mark.parametrize(
    ("operation", "headers", "sent"),
    [
        ("PutObject", {"Content-Length": "1000"}, 1000),
        ("UploadPart", {"Content-Length": "1043", "X-Amz-Decoded-Content-Length": "1000"}, 1000),
        ("PutObject", {}, 0),
        ("CreateMultipartUpload", {"Content-Length": "7"}, 0),
    ],
)
def test_the_bytes_of_an_object_are_counted_without_what_surrounds_them(
    operation: str, headers: dict[str, str], sent: int
) -> None:
    before = traffic.so_far()
    s3_store._count(f"before-send.s3.{operation}", SimpleNamespace(headers=headers))
    assert traffic.so_far() - before == traffic.Traffic(bytes_written=sent, put_requests=1)
