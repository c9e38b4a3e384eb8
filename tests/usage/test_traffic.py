"""Bytes and requests: every attempt counts once, whichever client makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.storage import s3 as s3_store
from imagefeatures.usage import traffic
from imagefeatures.usage.traffic import Traffic
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET


def used(work: Callable[[], object]) -> Traffic:
    before = traffic.so_far()
    work()
    return traffic.so_far() - before


def test_files_are_counted_in_bytes_and_are_no_requests(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/a.bin"
    assert used(lambda: storage.write(uri, b"x" * 1000)) == Traffic(bytes_written=1000)
    assert used(lambda: storage.read(uri)) == Traffic(bytes_read=1000)
    assert used(lambda: storage.read_part(uri, 900, 500)) == Traffic(bytes_read=100)
    (listed,) = storage.list_objects(f"file://{tmp_path}")
    assert used(lambda: storage.fetch(listed)) == Traffic(bytes_read=1000)
    assert used(lambda: storage.stat(uri)) == Traffic()

    def draft() -> None:
        begun = storage.draft(f"file://{tmp_path}/b.bin")
        begun.write(b"12")
        begun.write(b"345")
        begun.commit()

    assert used(draft) == Traffic(bytes_written=5)


def test_objects_are_counted_by_the_classes_of_prices(s3: Any) -> None:
    uri = f"s3://{BUCKET}/counted/a.bin"
    assert used(lambda: storage.write(uri, b"x" * 1000)) == Traffic(bytes_written=1000, put_requests=1)
    assert used(lambda: storage.write(uri, b"y" * 1000, only_if_absent=True)).put_requests == 1
    assert used(lambda: storage.read(uri)) == Traffic(bytes_read=1000, get_requests=1)
    assert used(lambda: storage.read_part(uri, 0, 10)) == Traffic(bytes_read=10, get_requests=1)
    assert used(lambda: storage.stat(uri)) == Traffic(get_requests=1)
    assert used(lambda: list(storage.list_objects(f"s3://{BUCKET}/counted"))) == Traffic(put_requests=1)
    deleted = used(lambda: storage.delete_folder(f"s3://{BUCKET}/counted"))
    assert deleted == Traffic(put_requests=1)  # the listing; to delete is free


@pytest.mark.parametrize("client", ["obstore", "boto3"])
def test_fetching_counts_the_same_by_both_clients(client: str, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if client == "boto3":
        monkeypatch.setattr(s3_store.S3Store, "_bulk_reader", lambda *_: None)
    for number in range(40):
        storage.write(f"s3://{BUCKET}/many/{number}", b"z" * number + b"end")
    listed = list(storage.list_objects(f"s3://{BUCKET}/many"))
    found = used(lambda: list(storage.fetch_all(listed)))
    assert found == Traffic(bytes_read=sum(range(40)) + 3 * 40, get_requests=40)


def test_a_request_that_is_repeated_counts_each_time(scripted: ScriptedStore) -> None:
    scripted.script = [no(503, "SlowDown"), no(503, "SlowDown"), (200, {"ETag": '"v1"'}, b"abc")]
    found = used(lambda: storage.read(f"s3://{BUCKET}/again"))
    assert found == Traffic(bytes_read=3, get_requests=len(scripted.headers))
    assert found.get_requests == 3


def test_no_count_of_many_threads_is_lost() -> None:
    def count() -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: traffic.read(1), range(20_000)))

    assert used(count) == Traffic(bytes_read=20_000)


def test_a_forked_process_begins_at_nothing() -> None:
    traffic.read(7)
    inside, outside = os.pipe()
    if (child := os.fork()) == 0:
        os.write(outside, b"ok" if traffic.so_far() == Traffic() else b"no")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(outside)
    assert os.read(inside, 2) == b"ok"
    os.close(inside)
