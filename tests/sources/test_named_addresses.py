"""One odd address in a list or a table is a row with its reason, and the others are read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.sources import Content, UriList, uris
from imagefeatures.storage import retry
from imagefeatures.storage import s3 as s3_store
from support.ingesting import ingested
from support.photos import fill, jpeg
from support.scripted_store import ScriptedStore
from support.shared import BUCKET, MakeRun

LIST = UriList(kind="uri_list", uri="file:///list.txt")


def found(*addresses: str) -> list[str]:
    """What comes of each address: "read", or the reason."""
    items = [uris.named(address, "file:///list.txt#1") for address in addresses]
    fetched = iter(LIST.fetch([item for item in items if not item.rejected], 1 << 20))
    results = [item.rejected or next(fetched) for item in items]
    return ["read" if isinstance(one, Content) else str(one.reason) for one in results]


@pytest.fixture
def impatient(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.setattr(retry, "LONGEST_WAIT_SECONDS", 0.25)
    aws_env.setattr(s3_store, "RETRY_SECONDS", 1.0)


@pytest.fixture
def odd_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The reason of each URI of what is no image file."""
    fill(tmp_path, {"empty.jpg": b""})
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("/proc/self/environ")
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(tmp_path)  # a socket's path has 107 bytes at most
        bound.bind("socket.jpg")
        yield {
            **{f"file://{tmp_path}/{name}.jpg": "NOT_A_FILE" for name in ("fifo", "folder", "socket", "link")},
            f"file://{tmp_path}/{'n' * 300}": "NOT_READABLE",
            f"file://{tmp_path}/empty.jpg/": "NOT_FOUND",
            f"file://{tmp_path}/empty.jpg": "EMPTY_OBJECT",
            "file:///proc/self/mem": "NOT_A_FILE",
            "file:///proc/self/environ": "NOT_A_FILE",
            "file:///sys/kernel/notes": "NOT_A_FILE",
            "file:///dev/zero": "NOT_A_FILE",
        }


def test_local_addresses_of_no_image_are_rows(make_run: MakeRun, tmp_path: Path, odd_files: dict[str, str]) -> None:
    good = f"file://{fill(tmp_path / 'in', {'1.jpg': jpeg(1)})}/1.jpg"
    lines = "\n".join([*odd_files, good])
    run = make_run({"kind": "uri_list", "uri": f"file://{fill(tmp_path, {'list.txt': lines.encode()})}/list.txt"})
    frozen, rejected = ingested(run)
    assert list(frozen) == [good]
    assert {uri: reason for uri, (reason, _) in rejected.items()} == odd_files
    assert rejected[f"file://{tmp_path}/{'n' * 300}"][1] == (
        "a name of 300 bytes in its path is longer than the system opens"
    )


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("s3://bucket--x-s3/1.jpg", "NOT_FOUND"),
        ("s3://bucket--use1-az4--x-s3/1.jpg", "NOT_FOUND"),
        ("s3://no-such-bucket/1.jpg", "NOT_FOUND"),
        ("s3://a..b/1.jpg", "NOT_FOUND"),
        ("s3://My_Bucket/1.jpg", "NOT_FOUND"),
        (f"s3://{BUCKET}/{'k' * 2000}", "NOT_FOUND"),
        (f"s3://{BUCKET}/../x", "NOT_FOUND"),
        (f"s3://{BUCKET}/a%2Fb c+d?e#f", "NOT_FOUND"),
    ],
)
def test_an_address_that_a_store_does_not_have_is_a_row(s3: None, address: str, reason: str) -> None:
    good = f"s3://{BUCKET}/1.jpg"
    storage.write(good, jpeg(1))
    assert found(good, address, good) == ["read", reason, "read"]


def test_a_bucket_without_an_address_is_a_row_while_the_store_answers(
    s3: None, impatient: None, aws_env: pytest.MonkeyPatch
) -> None:
    port = os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]
    aws_env.setenv("AWS_ENDPOINT_URL", f"http://localhost:{port}")  # by name: a directory bucket has a host of its own
    storage._store.cache_clear()
    good = f"s3://{BUCKET}/1.jpg"
    storage.write(good, jpeg(1))
    items = [uris.named(uri, "") for uri in ("s3://x--x-s3/1.jpg", good, "s3://x--x-s3/2.jpg")]
    first, read, second = LIST.fetch(items, 1 << 20)
    assert isinstance(read, Content)
    for lost in (first, second):
        assert isinstance(lost, Rejected)
        assert lost.reason == "NOT_FOUND"
        assert lost.detail == f"the store answers, and not at x--x-s3.localhost:{port}, its bucket's address"


def test_a_bucket_that_has_no_name_for_amazon_is_a_row(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.delenv("AWS_ENDPOINT_URL", raising=False)
    (lost,) = LIST.fetch([uris.named("s3://bucket--x-s3/1.jpg", "")], 1 << 20)
    assert isinstance(lost, Rejected)
    assert (lost.reason, lost.detail) == (
        "UNSUPPORTED_URL", "no store can have this bucket (Unrecognized S3Express bucket name format.)"
    )  # fmt: skip


@pytest.mark.parametrize("status", [301, 307, 401, 405, 410, 451])
def test_a_store_that_refuses_one_object_by_any_status_gives_a_row(scripted: ScriptedStore, status: int) -> None:
    scripted.always = (200, {"ETag": '"e"', "Content-Length": "3"}, b"abc")
    scripted.by_path[f"/{BUCKET}/2.jpg"] = (status, {}, b"")
    (lost,) = storage.stat_all([f"s3://{BUCKET}/2.jpg"])
    assert isinstance(lost, Rejected)
    assert (lost.reason, lost.detail) == ("NOT_READABLE", f"the store does not let it be read ({status})")


def test_a_bucket_that_is_removed_before_it_is_read_is_a_row(scripted: ScriptedStore) -> None:
    gone = (404, {}, b"<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>")
    scripted.script = [(200, {"ETag": '"e"', "Content-Length": "3"}, b"")]
    scripted.always = gone
    (lost,) = LIST.fetch([uris.named(f"s3://{BUCKET}/1.jpg", "")], 1 << 20)
    assert str(lost) == "NOT_FOUND: it was there, and gone when it was read"
    with pytest.raises(StoreRefused, match="there is no such bucket"):
        list(storage.fetch_all([storage.StoredObject(f"s3://{BUCKET}/1.jpg", 3, "e")], f"s3://{BUCKET}/"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_store_that_is_away_is_no_row(impatient: None, aws_env: pytest.MonkeyPatch, host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        aws_env.setenv("AWS_ENDPOINT_URL", f"http://{host}:{unused.getsockname()[1]}")
        for bucket in (BUCKET, "bucket--x-s3"):
            storage._store.cache_clear()
            with pytest.raises(StoreError, match="no answer in 1 s"):
                found(f"s3://{bucket}/1.jpg")


def test_an_object_that_fails_alone_in_its_folder_is_a_row_while_its_bucket_gives_others(
    scripted: ScriptedStore, impatient: None
) -> None:
    listing = (
        "<ListBucketResult><Name>images</Name><KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false"
        "</IsTruncated>{}</ListBucketResult>"
    )
    other = "<Contents><Key>far/2.jpg</Key><Size>3</Size><ETag>e</ETag></Contents>"
    scripted.always = (500, {}, b"")
    ask = f"/{BUCKET}?list-type=2&prefix={{}}&encoding-type=url"
    scripted.by_path = {
        ask.format("near%2F"): (200, {}, listing.format(0, "").encode()),
        ask.format(""): (200, {}, listing.format(1, other).encode()),
        f"/{BUCKET}/far/2.jpg": (200, {"ETag": '"e"'}, b"abc"),
    }
    (lost,) = storage.stat_all([f"s3://{BUCKET}/near/1.jpg"])
    assert isinstance(lost, Rejected)
    assert lost.detail.endswith("while the store gives other objects")
