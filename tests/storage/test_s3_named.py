"""Objects that a list names, one by one: what of an answer is true of the object, of its bucket, or of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.storage import retry, s3_named
from imagefeatures.storage.objects import Listed, ObjectMissing
from imagefeatures.storage.s3_named import NamedObjects
from support.scripted_store import ScriptedStore
from support.shared import BUCKET

STORE, HOST = "http://store:9000", "x--x-s3.store:9000"
FOUND = {"ETag": '"e"', "ContentLength": 3}
URI = f"s3://{BUCKET}/key"


def response(status: int, code: str = "", message: str = "") -> ClientError:
    return ClientError(
        {"Error": {"Code": code or str(status), "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "HeadObject",
    )


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(s3_named, "ANSWER_SECONDS", 0.5)


def in_turn(*answers: Exception | dict[str, Any]) -> Callable[..., Any]:
    """A request that gets these answers, and the last one again and again."""

    def take() -> Iterator[Exception | dict[str, Any]]:
        yield from answers
        while True:
            yield answers[-1]

    left = take()

    def request(**_: object) -> Any:
        if isinstance(answer := next(left), Exception):
            raise answer
        return answer

    return request


def named(
    head: Callable[..., Any], buckets: Exception | None = None, others: Callable[[str], bool] = lambda _: True
) -> NamedObjects:
    """Of a store that answers HEAD so, and the question for its buckets with an error or with none."""
    listing = in_turn(buckets or {"Buckets": []})
    client = SimpleNamespace(head_object=head, list_buckets=listing, meta=SimpleNamespace(endpoint_url=STORE))
    return NamedObjects(client, {}, 0.3, others)


def found(names: NamedObjects, path: str = "bucket/key") -> Listed | ObjectMissing | Rejected:
    (one,) = names.stat_all([path])
    return one


def words(one: object) -> tuple[str, str]:
    assert isinstance(one, Rejected)
    return str(one.reason), one.detail


# The store's answer


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_an_answer_that_may_pass_is_asked_for_again(scripted: ScriptedStore, status: int) -> None:
    scripted.script = [(status, {}, b""), (200, {"ETag": '"e"', "Content-Length": "3"}, b"")]
    assert storage.stat(URI) == storage.StoredObject(URI, 3, "e")
    assert scripted.asked == ["HEAD", "HEAD"]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "RequestTimeout"), (403, "SlowDown"), (403, "KeyUnavailable"), (500, "Fault")]
)
def test_a_code_that_may_pass_is_asked_for_again_whatever_its_status(status: int, code: str) -> None:
    assert found(named(in_turn(response(status, code), FOUND))) == Listed("bucket/key", 3, "e")


def test_an_object_that_is_not_there_is_missing(scripted: ScriptedStore) -> None:
    scripted.always = (404, {}, b"")
    (one,) = storage.stat_all([URI])
    assert isinstance(one, ObjectMissing)
    assert scripted.asked == ["HEAD"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response(300), "300"),
        (response(499), "499"),
        (response(403, "AccessDenied"), "403: AccessDenied"),
        (response(403, "AccessDenied", "ask\nus"), "403: AccessDenied: ask\\nus"),
    ],
)
def test_an_answer_about_one_object_is_told_with_its_status_and_words(answer: ClientError, said: str) -> None:
    assert words(found(named(in_turn(answer)))) == ("NOT_READABLE", f"the store does not let it be read ({said})")


def test_a_bucket_that_is_not_there_is_told() -> None:
    assert words(found(named(in_turn(response(404, "NoSuchBucket"))))) == ("NOT_FOUND", "there is no such bucket")


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": '"e"', "Content-Length": ""}, {"Content-Length": "3"}],
    ids=["neither", "no size", "no version"],
)
def test_a_server_that_does_not_tell_size_and_version_is_no_store(
    scripted: ScriptedStore, headers: dict[str, str]
) -> None:
    scripted.always = (200, headers, b"")
    with pytest.raises(StoreRefused, match=rf"^{URI}: the server there is not an S3 store \(see AWS_ENDPOINT_URL\)$"):
        storage.stat(URI)


def test_a_bucket_of_a_name_that_no_store_can_have_is_a_row(s3: object) -> None:
    (one,) = storage.stat_all(["s3://my bucket/key"])
    reason, detail = words(one)
    assert reason == "UNSUPPORTED_URL"
    assert detail.startswith('no store can have this bucket (Parameter validation failed:\\nInvalid bucket name "my ')


# No answer


UNREACHABLE = [
    EndpointConnectionError(endpoint_url=f"http://{HOST}/key"),
    ConnectTimeoutError(endpoint_url=f"http://{HOST}/key"),
    ConnectionClosedError(endpoint_url=f"http://{HOST}/key"),
    ReadTimeoutError(endpoint_url=f"http://{HOST}/key"),
]
NO_HOST = ("NOT_FOUND", f"the store answers, and not at {HOST}, its bucket's address")


@pytest.mark.parametrize("error", UNREACHABLE, ids=lambda error: type(error).__name__)
def test_a_bucket_whose_own_host_does_not_answer_is_a_row_while_the_store_does(error: Exception) -> None:
    assert words(found(named(in_turn(error), others=lambda _: False))) == NO_HOST


@pytest.mark.parametrize("buckets", [response(403, "AccessDenied"), response(404), response(501, "NotImplemented")])
def test_a_store_that_refuses_to_name_its_buckets_answers(buckets: Exception) -> None:
    assert words(found(named(in_turn(UNREACHABLE[0]), buckets))) == NO_HOST


def test_a_store_that_fails_too_does_not_answer() -> None:
    with pytest.raises(StoreError, match="no answer in 0 s"):
        found(named(in_turn(UNREACHABLE[0]), response(503, "SlowDown")))


def test_a_bucket_without_a_host_is_tried_once_and_other_buckets_are_asked() -> None:
    asked: list[str] = []

    def head(Bucket: str, Key: str) -> dict[str, Any]:
        asked.append(f"{Bucket}/{Key}")
        if Bucket == "x--x-s3":
            raise UNREACHABLE[0]
        return FOUND

    names = named(head)
    why = found(names, "x--x-s3/1")
    asked.clear()
    assert list(names.stat_all(["x--x-s3/2", "bucket/key", "x--x-s3/3"])) == [why, Listed("bucket/key", 3, "e"), why]
    assert asked == ["bucket/key"]


@pytest.mark.parametrize(
    "errors",
    [
        [UNREACHABLE[0], response(503, "SlowDown")],
        [EndpointConnectionError(endpoint_url=f"{STORE}/bucket/key")],
        [HTTPClientError(error="of no address")],
    ],
    ids=["its host answers at last", "the store's own host", "no host is named"],
)
def test_an_object_that_fails_at_a_host_that_answers_is_lost_alone(errors: list[Exception]) -> None:
    reason, detail = words(found(named(in_turn(*errors))))
    assert reason == "NOT_READABLE"
    assert detail.startswith("no answer in 0 s (")
    assert detail.endswith("), while the store gives other objects")


def test_an_object_that_fails_where_others_do_is_an_error_of_the_store() -> None:
    asked: list[str] = []
    names = named(in_turn(response(503, "SlowDown")), others=lambda path: bool(asked.append(path)))
    with pytest.raises(StoreError, match=r"^s3://bucket/key: no answer in 0 s \(SlowDown\)$"):
        found(names)
    assert asked == ["bucket/key"]
