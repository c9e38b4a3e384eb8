"""The storage functions on every store: local files, moto, rclone and MinIO."""

from __future__ import annotations

import os
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreRefused
from imagefeatures.storage import ObjectChanged, ObjectMissing, StoredObject
from imagefeatures.storage import s3 as s3_store
from imagefeatures.storage.object_reader import ObjectReader
from support.shared import BUCKET

ODD_NAMES = [
    "sp ace",
    "plus+",
    "pct%20",
    "%2B",
    "hash#",
    "question?",
    "amp&=",
    "quotes'\"`",
    "tab\t",
    "<img onerror=x>",
    "emoji 😀",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "back\\slash",
    "{partition}",
    "$(id);",
    " leading and trailing ",
    "x" * 250,
]


WITH_CONDITIONAL_WRITES = ["file", "moto", "minio"]
"""All but rclone, on which a second writer overwrites the first, as `storage.write` documents."""


def listed(prefix: str) -> list[str]:
    return [stored.uri for stored in storage.list_objects(prefix)]


def only(prefix: str) -> StoredObject:
    """The one object below a URI."""
    (stored,) = storage.list_objects(prefix)
    return stored


# Every store


def test_what_was_written_is_read_back(store: str) -> None:
    assert storage.write(f"{store}/deep/er/file", b"\0\r\n\xff")
    assert storage.read(f"{store}/deep/er/file") == b"\0\r\n\xff"


def test_a_second_write_replaces_the_first(store: str) -> None:
    storage.write(f"{store}/file", b"one")
    assert storage.write(f"{store}/file", b"two")
    assert storage.read(f"{store}/file") == b"two"


def test_an_empty_object_is_an_object(store: str) -> None:
    storage.write(f"{store}/empty", b"")
    assert (storage.read(f"{store}/empty"), only(store).size) == (b"", 0)


def test_a_listing_goes_down_every_folder_in_the_order_of_the_keys_bytes(store: str) -> None:
    keys = ["b", "a/z", "a/b/c", "a.jpg", "a-b/x", "a0", "B", "ä", "é", "😀", "~", "a/b.c"]
    for size, key in enumerate(keys):
        storage.write(f"{store}/{key}", b"x" * size)
    objects = list(storage.list_objects(f"{store}/"))
    assert [o.uri.removeprefix(f"{store}/") for o in objects] == sorted(keys, key=str.encode)
    assert {o.uri: o.size for o in objects} == {f"{store}/{key}": size for size, key in enumerate(keys)}


def test_a_folders_listing_holds_no_neighbour_with_the_same_prefix(store: str) -> None:
    storage.write(f"{store}/2026-11-02/1.jpg", b"")
    storage.write(f"{store}/2026-11-02-extra/2.jpg", b"")
    storage.write(f"{store}/2026-11-02.jpg", b"")
    assert listed(f"{store}/2026-11-02") == listed(f"{store}/2026-11-02/") == [f"{store}/2026-11-02/1.jpg"]


def test_a_missing_folder_lists_as_empty(store: str) -> None:
    assert listed(f"{store}/nowhere/") == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_stay_byte_for_byte(store: str, name: str) -> None:
    uri = f"{store}/{name}/{name}.jpg"
    storage.write(uri, name.encode())
    stored = only(f"{store}/{name}/")
    assert stored.uri == uri
    assert stored.uri.encode() == uri.encode()
    assert storage.fetch(stored) == name.encode()
    assert storage.names(f"{store}/{name}") == [f"{name}.jpg"]


@pytest.mark.parametrize("store", ["file", "rclone", "minio"], indirect=True)  # moto does not accept such keys
@pytest.mark.parametrize("name", ["new\nline", "new\r\nline", "\x7f", "/".join(["d" * 200] * 4)])
def test_odder_names_stay_byte_for_byte(store: str, name: str) -> None:
    storage.write(f"{store}/{name}/x", name.encode())
    stored = only(f"{store}/{name}/")
    assert stored.uri.encode() == f"{store}/{name}/x".encode()
    assert storage.fetch(stored) == name.encode()


def test_names_that_differ_in_normal_form_alone_are_two_objects(store: str) -> None:
    storage.write(f"{store}/é", b"composed")
    storage.write(f"{store}/e\u0301", b"decomposed")
    assert listed(store) == [f"{store}/e\u0301", f"{store}/é"]
    assert storage.read(f"{store}/é") == b"composed"


def test_what_was_listed_is_fetched(store: str) -> None:
    storage.write(f"{store}/file", b"bytes")
    assert storage.fetch(only(store)) == b"bytes"


@pytest.mark.parametrize("later", [b"bytez", b"longer than before", b""])
def test_an_object_that_was_replaced_is_not_fetched(store: str, later: bytes) -> None:
    storage.write(f"{store}/file", b"bytes")
    before = only(store)
    storage.write(f"{store}/file", later)
    with pytest.raises(ObjectChanged) as changed:
        storage.fetch(before)
    assert changed.value.etag == only(store).etag != before.etag


def test_another_length_under_the_same_etag_is_a_change_too(store: str) -> None:
    storage.write(f"{store}/file", b"bytes")
    stored = only(store)
    with pytest.raises(ObjectChanged, match="with 5 bytes instead of 6"):
        storage.fetch(StoredObject(stored.uri, 6, stored.etag))


def test_a_part_of_an_object_is_read(store: str) -> None:
    storage.write(f"{store}/file", bytes(range(100)))
    parts = [(0, 10), (90, 10), (90, 1000), (40, 1), (40, 0), (100, 1), (1000, 10)]
    read = [storage.read_part(f"{store}/file", start, length) for start, length in parts]
    assert read == [bytes(range(start, min(start + length, 100))) for start, length in parts]
    with pytest.raises(ObjectMissing):
        storage.read_part(f"{store}/other", 0, 1)


def test_an_object_is_a_file_to_seek_in(store: str) -> None:
    storage.write(f"{store}/file", b"0123456789")
    with ObjectReader(f"{store}/file", 10) as file:
        assert (file.seekable(), file.readable(), file.writable()) == (True, True, False)
        assert (file.seek(-3, os.SEEK_END), file.read(2), file.tell()) == (7, b"78", 9)
        assert (file.seek(-2, os.SEEK_CUR), file.read(), file.read(5)) == (7, b"789", b"")
        assert (file.seek(20), file.read()) == (20, b"")


def test_an_object_that_is_gone_is_missing(store: str) -> None:
    storage.write(f"{store}/folder/file", b"bytes")
    stored = only(store)
    storage.delete_folder(f"{store}/folder")
    reads = (lambda: storage.fetch(stored), lambda: storage.read(stored.uri), lambda: storage.read(f"{store}/no"))
    for read in reads:
        with pytest.raises(ObjectMissing):
            read()
    assert not storage.exists(stored.uri)


@pytest.mark.parametrize("store", WITH_CONDITIONAL_WRITES, indirect=True)
def test_only_if_absent_leaves_what_is_there(store: str) -> None:
    assert storage.write(f"{store}/file", b"first", only_if_absent=True)
    assert not storage.write(f"{store}/file", b"second", only_if_absent=True)
    assert storage.read(f"{store}/file") == b"first"
    assert listed(store) == [f"{store}/file"]  # and no draft beside it


@pytest.mark.parametrize("store", WITH_CONDITIONAL_WRITES, indirect=True)
def test_of_many_writers_only_if_absent_lets_one_win(store: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda n: storage.write(f"{store}/one", b"%d" % n, only_if_absent=True), range(24)))
    assert sum(created) == 1
    assert storage.read(f"{store}/one") == b"%d" % created.index(True)


def test_names_are_those_directly_inside_a_folder(store: str) -> None:
    for key in ("b", "a", "folder/c", "folder/d/e"):
        storage.write(f"{store}/{key}", b"")
    assert storage.names(store) == storage.names(f"{store}/") == ["a", "b"]
    assert storage.names(f"{store}/folder") == ["c"]
    assert storage.names(f"{store}/nowhere") == []


def test_a_deleted_folder_takes_all_below_it_and_nothing_beside_it(store: str) -> None:
    for key in ("gone/1", "gone/deep/2", "gone too/3", "gone.txt"):
        storage.write(f"{store}/{key}", b"")
    storage.delete_folder(f"{store}/gone")
    assert listed(store) == [f"{store}/gone too/3", f"{store}/gone.txt"]
    storage.delete_folder(f"{store}/gone")  # again is no error
    storage.delete_folder(f"{store}/nowhere/")


@pytest.mark.parametrize("uri", ["http://h/x", "/data/x", "x", "S3://b/x", "s3a://b/x"])
def test_other_kinds_of_address_are_refused(uri: str) -> None:
    with pytest.raises(StoreRefused, match=r"neither file:// nor s3://"):
        storage.read(uri)


# S3 alone


@pytest.mark.long
def test_a_folder_of_more_keys_than_a_page_is_listed_and_deleted_whole(s3: Any) -> None:
    keys = [f"many/{number:04d}" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b""), [*keys, "kept"]))
    assert listed(f"s3://{BUCKET}/many") == [f"s3://{BUCKET}/{key}" for key in keys]
    storage.delete_folder(f"s3://{BUCKET}/many")
    assert listed(f"s3://{BUCKET}") == [f"s3://{BUCKET}/kept"]


def test_the_whole_bucket_can_be_a_folder(s3: Any) -> None:
    storage.write(f"s3://{BUCKET}/a/b", b"x")
    assert listed(f"s3://{BUCKET}") == listed(f"s3://{BUCKET}/") == [f"s3://{BUCKET}/a/b"]


def refused_at_once(text: str, *, of: str) -> None:
    """Expect StoreRefused with this text for every kind of request to the bucket, long before retries would end."""
    for request in (
        lambda: listed(of),
        lambda: storage.read(f"{of}/key"),
        lambda: storage.write(f"{of}/key", b"", only_if_absent=True),
        lambda: storage.delete_folder(f"{of}/folder"),
    ):
        start = time.monotonic()
        with pytest.raises(StoreRefused, match=text) as refused:
            request()
        assert time.monotonic() - start < s3_store.RETRY_SECONDS / 2
        assert "\n" not in str(refused.value)
        assert "secret" not in str(refused.value)


def test_a_part_is_read_from_a_store_that_ignores_ranges(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write(f"s3://{BUCKET}/file", b"0123456789")
    client = storage._store("s3")._client  # type: ignore[attr-defined]
    get = client.get_object
    monkeypatch.setattr(client, "get_object", lambda Range, **request: get(**request))
    assert storage.read_part(f"s3://{BUCKET}/file", 3, 4) == b"3456"


def test_a_bucket_that_does_not_exist_is_refused_at_once(s3: Any) -> None:
    refused_at_once("s3://nowhere.*there is no such bucket", of="s3://nowhere")


def test_an_impossible_bucket_name_is_refused_at_once(s3: Any) -> None:
    refused_at_once('Invalid bucket name "my bucket"', of="s3://my bucket")


def test_missing_credentials_are_refused_at_once(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.delenv("AWS_ACCESS_KEY_ID")
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    refused_at_once("no credentials .set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.", of=f"s3://{BUCKET}")


def test_half_of_the_credentials_are_refused_at_once(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    refused_at_once("AWS_SECRET_ACCESS_KEY", of=f"s3://{BUCKET}")


def test_an_endpoint_that_is_no_url_is_refused_at_once(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    refused_at_once("Invalid endpoint: localhost:9000", of=f"s3://{BUCKET}")


def test_a_profile_that_does_not_exist_is_refused_at_once(aws_env: pytest.MonkeyPatch) -> None:
    aws_env.setenv("AWS_PROFILE", "nobody")
    refused_at_once("The config profile .nobody. could not be found", of=f"s3://{BUCKET}")
