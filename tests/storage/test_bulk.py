"""The bulk reader by itself: what it takes for an answer, what it leaves to boto3, and when it is given up."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, PreconditionError

from imagefeatures import storage
from imagefeatures.storage import StoredObject, bulk
from imagefeatures.storage import s3 as s3_store
from imagefeatures.storage.bulk import BulkReader
from imagefeatures.storage.objects import Access
from imagefeatures.storage.retry import Transient
from support.fault_proxy import STALLED, Plan, fault_proxy
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET

WHOLE = (200, {"ETag": '"v1"'}, b"x")
LISTED = StoredObject(f"s3://{BUCKET}/a", 1, "v1")

Panic = type("PanicException", (BaseException,), {})  # like obstore's, which is not an Exception


def clients(store: ScriptedStore) -> list[str]:
    return ["boto3" if "Boto3" in headers["User-Agent"] else "obstore" for headers in store.headers]


@pytest.fixture
def reader(scripted: ScriptedStore) -> BulkReader:
    """The bulk reader of the bucket at the scripted store."""
    made = s3_store.S3Store()._bulk_reader(BUCKET)
    assert made is not None
    return made


class Response:
    """obstore's answer to a request. left: what it has not given of the body yet."""

    def __init__(self, *chunks: bytes, size: int, path: str = "a", e_tag: str | None = '"v1"') -> None:
        self.meta = {"path": path, "e_tag": e_tag, "size": size}
        self.left = list(chunks)

    def __iter__(self) -> Iterator[bytes]:
        while self.left:
            yield self.left.pop(0)


# Answers


@pytest.mark.parametrize(
    "answer", [{"path": "b"}, {"e_tag": '"v2"'}, {"e_tag": None}], ids=["another key", "another version", "no version"]
)
def test_an_answer_about_something_else_is_asked_of_boto3(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    scripted.always = WHOLE
    monkeypatch.setattr("obstore.get", lambda *_, **__: Response(b"y", size=1, **answer))
    assert storage.fetch(LISTED) == b"x"
    assert clients(scripted) == ["boto3"]


@pytest.mark.parametrize("chunks", [(b"abcd",), (b"ab", b"cd"), (b"ab", b"", b"cd")])
def test_a_body_of_the_listed_size_is_its_chunks(chunks: tuple[bytes, ...]) -> None:
    assert bulk._at_most(Response(*chunks, size=4), 4) == b"abcd"  # type: ignore[arg-type]


def test_no_more_than_one_chunk_beyond_the_listed_size_is_read() -> None:
    response = Response(b"ab", b"cde", b"fg", size=4)
    assert bulk._at_most(response, 4) is None  # type: ignore[arg-type]
    assert response.left == [b"fg"]
    response = Response(b"ab", size=5)
    assert bulk._at_most(response, 4) is None  # type: ignore[arg-type]
    assert response.left == [b"ab"]


def test_the_listed_version_is_the_condition_of_the_request(scripted: ScriptedStore, reader: BulkReader) -> None:
    scripted.always = WHOLE
    assert reader.get("a", "v1", 1) == b"x"
    assert scripted.headers[0]["If-Match"] == '"v1"'


def test_the_largest_object_that_it_reads(scripted: ScriptedStore) -> None:
    data = bytes(bulk.LARGEST_BYTES)
    scripted.always = (200, {"ETag": '"v1"'}, data)
    assert storage.fetch(StoredObject(f"s3://{BUCKET}/a", len(data), "v1")) == data
    assert clients(scripted) == ["obstore"]


# Failures


def test_a_failure_that_may_pass_is_told_in_one_line(scripted: ScriptedStore, reader: BulkReader) -> None:
    scripted.always = no(503, "SlowDown")
    with pytest.raises(Transient, match=r"^Generic S3 error: .*503 Service Unavailable") as told:
        reader.get("a", "v1", 1)
    assert "\n" not in str(told.value)
    assert scripted.asked == ["GET"]  # it does not try again by itself


def asked_of_obstore(monkeypatch: pytest.MonkeyPatch, error: BaseException, times: int) -> int:
    """How many of so many fetches ask obstore, where that always fails with this error."""
    asked: list[str] = []

    def get(_: object, key: str, **__: object) -> None:
        asked.append(key)
        raise error

    monkeypatch.setattr("obstore.get", get)
    monkeypatch.setattr(bulk, "TRIES_WITHOUT_SUCCESS", 3)
    assert [storage.fetch(LISTED) for _ in range(times)] == [b"x"] * times
    return len(asked)


@pytest.mark.parametrize(
    "error", [GenericError("503\nmore"), PermissionDeniedError("403"), OSError("reset"), Panic("unwrap")], ids=repr
)
def test_it_is_given_up_after_failures_of_any_kind(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    scripted.always = WHOLE
    assert asked_of_obstore(monkeypatch, error, 5) == 3


@pytest.mark.parametrize("error", [FileNotFoundError(), PreconditionError("412"), ValueError("a key")], ids=repr)
def test_what_is_true_of_one_object_is_no_failure_of_the_reader(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    scripted.always = WHOLE
    assert asked_of_obstore(monkeypatch, error, 5) == 5


def test_failures_count_from_the_last_success_on(scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TRIES_WITHOUT_SUCCESS", 2)
    refused = no(403, "AccessDenied")
    scripted.script = [refused, WHOLE, WHOLE, refused, WHOLE, WHOLE]
    assert [storage.fetch(LISTED) for _ in range(4)] == [b"x"] * 4
    assert clients(scripted) == ["obstore", "boto3", "obstore"] * 2


def test_who_ends_the_process_ends_a_request(scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    scripted.always = WHOLE
    monkeypatch.setattr("obstore.get", get)
    with pytest.raises(KeyboardInterrupt):
        storage.fetch(LISTED)
    assert scripted.asked == []


# The configuration


def test_a_bucket_whose_name_makes_obstore_panic_has_no_bulk_reader(s3: Any) -> None:
    for bucket in ("my bucket", "ab", "x" * 256, "a/b"):
        with pytest.raises(ValueError, match=f"^{bucket}: obstore does not take such a name$"):
            BulkReader(bucket, s3, Access())


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The address of a port at which connections are never accepted: its queue is full."""
    with contextlib.ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _of_a_deaf_port(stack: contextlib.ExitStack, scripted: ScriptedStore) -> str:
    return stack.enter_context(deaf())


def _of_a_body_that_stalls(stack: contextlib.ExitStack, scripted: ScriptedStore) -> str:
    return stack.enter_context(fault_proxy(scripted.address, Plan(1.0, (STALLED,)))).address


@pytest.mark.parametrize(
    ("limit", "address"), [("CONNECT_SECONDS", _of_a_deaf_port), ("STALL_SECONDS", _of_a_body_that_stalls)]
)
def test_a_connection_and_a_pause_have_limits_of_their_own(
    scripted: ScriptedStore,
    aws_env: pytest.MonkeyPatch,
    limit: str,
    address: Callable[[contextlib.ExitStack, ScriptedStore], str],
) -> None:
    aws_env.setattr(bulk, limit, 0.3)
    scripted.always = (200, {"ETag": '"v1"'}, b"x" * 1000)
    with contextlib.ExitStack() as stack:
        aws_env.setenv("AWS_ENDPOINT_URL", address(stack, scripted))
        made = s3_store.S3Store()._bulk_reader(BUCKET)
        assert made is not None
        start = time.monotonic()
        with pytest.raises(Transient):
            made.get("a", "v1", 1000)
        assert time.monotonic() - start < 3


def test_credentials_are_looked_up_again_within_the_ten_minutes_that_they_are_good_for(s3: Any) -> None:
    BulkReader(BUCKET, s3, Access())
    provider = bulk._credentials()
    left = provider()["expires_at"] - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=9, seconds=50) < left <= dt.timedelta(minutes=10)


def test_a_store_of_no_region_is_asked_as_in_the_first_one(
    scripted: ScriptedStore, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_DEFAULT_REGION", "aws-global")
    scripted.always = WHOLE
    assert storage.fetch(LISTED) == b"x"
    assert clients(scripted) == ["obstore"]
    assert "/us-east-1/s3/" in scripted.headers[0]["Authorization"]


def test_a_bundle_of_certificates_that_is_no_file_is_none(
    scripted: ScriptedStore, aws_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted.always = WHOLE
    for path in (tmp_path, tmp_path / "nowhere.pem"):
        aws_env.setenv("AWS_CA_BUNDLE", str(path))
        storage._store.cache_clear()
        assert storage.fetch(LISTED) == b"x"
    assert clients(scripted) == ["obstore"] * 2
