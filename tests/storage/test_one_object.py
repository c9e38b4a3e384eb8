"""What is true of one object is not true of its store: it is a row, and the others are read."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError
from imagefeatures.storage import StoredObject, bulk, others, retry, s3_responses
from imagefeatures.storage import s3 as s3_store
from imagefeatures.storage.objects import Listed
from imagefeatures.storage.s3_named import NamedObjects
from support.disks import make_ext4, mounted, needs_mounts
from support.fault_proxy import CUT, DRIPS, RESET, SLOW_DOWN, STALLED, FaultProxy, Plan, fault_proxy
from support.photos import fill
from support.shared import BUCKET

SIZES = {"1.jpg": 900, "2.jpg": 1000, "3.jpg": 1100, "4.jpg": 1200, "small.jpg": 6}
FILES = {name: os.urandom(size) for name, size in SIZES.items()}


@dataclass
class Broken(Plan):
    """Every request for these objects fails; a fault to the store as a whole where there are none."""

    names: tuple[str, ...] = ()

    def fault(self, path: str, turn: int) -> str | None:
        of_these = not self.names or path.partition("?")[0].endswith(self.names)
        return super().fault(path, turn) if of_these and path.endswith(".jpg") else None


@pytest.fixture
def proxied(_s3_server: str, _s3_session: Any, aws_env: pytest.MonkeyPatch) -> Any:
    """proxied(plan): the objects of FILES, listed, from an S3 server whose responses have the plan's faults.

    The limits are shorter: 1 s for a request with its retries, a quarter for the next bytes.
    """
    for module, name in [(bulk, "STALL_SECONDS"), (retry, "LONGEST_WAIT_SECONDS")]:
        aws_env.setattr(module, name, 0.25)
    for module, name in [(bulk, "ATTEMPT_SECONDS"), (s3_responses, "ATTEMPT_SECONDS")]:
        aws_env.setattr(module, name, 0.75)
    aws_env.setattr(s3_store, "READ_SECONDS", 0.5)
    aws_env.setattr(others, "SECONDS", 4.0)
    aws_env.setattr(s3_store, "RETRY_SECONDS", 1.0)
    client = _s3_session.client("s3", endpoint_url=_s3_server)
    client.create_bucket(Bucket=BUCKET)
    for name, data in FILES.items():
        client.put_object(Bucket=BUCKET, Key=f"day/{name}", Body=data)
    return lambda plan: fault_proxy(_s3_server, plan)


def fetched(proxy: FaultProxy, aws_env: pytest.MonkeyPatch, *names: str) -> list[Any]:
    """What comes of these objects, or of all of them."""
    aws_env.setenv("AWS_ENDPOINT_URL", proxy.address)
    storage._store.cache_clear()
    listed = list(storage.list_objects(f"s3://{BUCKET}/day/"))
    wanted = [stored for stored in listed if not names or stored.uri.endswith(names)]
    return list(storage.fetch_all(wanted, f"s3://{BUCKET}/day/"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SLOW_DOWN, "SlowDown"),
        pytest.param(RESET, "Connection", marks=pytest.mark.long),
        pytest.param(CUT, "500 of 1000 bytes arrived", marks=pytest.mark.long),
        pytest.param(STALLED, "Read timed out", marks=pytest.mark.long),
    ],
)
def test_an_object_that_never_comes_is_a_row_and_all_others_are_read(
    proxied: Any, aws_env: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    with proxied(Broken(1.0, (fault,), names=("2.jpg",))) as proxy:
        one, two, three, four, small = fetched(proxy, aws_env)
    assert [one, three, four, small] == [data for name, data in FILES.items() if name != "2.jpg"]
    assert isinstance(two, Rejected)
    assert two.reason == "NOT_READABLE"
    assert two.detail.startswith("no answer in 1 s (")
    assert said in two.detail
    assert two.detail.endswith("), while the store gives other objects")


def test_a_worker_whose_only_object_never_comes_looks_at_those_of_other_workers(
    proxied: Any, aws_env: pytest.MonkeyPatch
) -> None:
    with proxied(Broken(1.0, (SLOW_DOWN,), names=("2.jpg", "3.jpg"))) as proxy:
        (two,) = fetched(proxy, aws_env, "2.jpg")
    assert isinstance(two, Rejected)


@pytest.mark.parametrize("fault", [SLOW_DOWN, pytest.param(STALLED, marks=pytest.mark.long), DRIPS])
def test_a_store_that_gives_no_object_is_an_error_of_the_store(
    proxied: Any, aws_env: pytest.MonkeyPatch, fault: str
) -> None:
    with proxied(Broken(1.0, (fault,))) as proxy, pytest.raises(StoreError, match="no answer in 1 s"):
        fetched(proxy, aws_env)


@pytest.mark.long
def test_a_store_that_gives_only_small_objects_is_an_error_of_the_store(
    proxied: Any, aws_env: pytest.MonkeyPatch
) -> None:
    broken = tuple(name for name in FILES if name != "small.jpg")
    with proxied(Broken(1.0, (DRIPS,), names=broken)) as proxy, pytest.raises(StoreError, match="no answer in 1 s"):
        fetched(proxy, aws_env, "1.jpg", "small.jpg")


@pytest.mark.long
def test_the_only_object_of_a_source_is_not_told_from_its_store(
    proxied: Any, aws_env: pytest.MonkeyPatch, _s3_session: Any, _s3_server: str
) -> None:
    client = _s3_session.client("s3", endpoint_url=_s3_server)
    for name in set(FILES) - {"1.jpg"}:
        client.delete_object(Bucket=BUCKET, Key=f"day/{name}")
    with proxied(Broken(1.0, (SLOW_DOWN,))) as proxy, pytest.raises(StoreError, match="no answer in 1 s"):
        fetched(proxy, aws_env)


@pytest.fixture
def listed(tmp_path: Path) -> list[StoredObject]:
    fill(tmp_path / "photos", {"lost.jpg": b"lost", "small.jpg": b"s", "whole.jpg": b"whole"})
    return list(storage.list_objects(f"file://{tmp_path}/photos/"))


def fail_to_read(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Reads of files with these names fail, as those of blocks that a disk has lost."""
    read = os.read

    def fails(descriptor: int, most: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(names):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, most)

    monkeypatch.setattr(os, "read", fails)


def test_a_file_that_the_disk_has_lost_is_a_row(listed: list[StoredObject], monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_read(monkeypatch, "lost.jpg")
    lost, small, whole = storage.fetch_all(listed, listed[0].uri.removesuffix("lost.jpg"))
    assert isinstance(lost, Rejected)
    assert lost.reason == "NOT_READABLE"
    assert lost.detail == "the disk gives other files, and not this one (Input/output error)"
    assert [small, whole] == [b"s", b"whole"]


def test_a_disk_that_gives_no_file_is_an_error_of_the_store(
    listed: list[StoredObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_read(monkeypatch, ".jpg")
    with pytest.raises(StoreError, match=r"/photos/lost.jpg: Input/output error$"):
        list(storage.fetch_all(listed, listed[0].uri.removesuffix("lost.jpg")))


@needs_mounts
def test_a_file_whose_inode_is_damaged_is_a_row(tmp_path: Path) -> None:
    image, folder = make_ext4(tmp_path / "disk", 8 << 20), tmp_path / "photos"
    with mounted(image, folder):
        fill(folder, {"lost.jpg": b"lost", "whole.jpg": b"whole"})
    subprocess.run(["debugfs", "-w", "-R", "set_inode_field lost.jpg checksum 1", image], check=True)
    with mounted(image, folder):
        rows = {stored.uri: stored.rejected for stored in storage.list_entries(f"file://{folder}/")}
        lost = rows[f"file://{folder}/lost.jpg"]
        assert rows[f"file://{folder}/whole.jpg"] is None
    assert lost is not None
    assert lost.reason == "NOT_READABLE"
    assert lost.detail == "the file system is damaged there (Bad message)"


def test_an_object_of_a_list_whose_size_is_never_told_is_a_row(proxied: Any, aws_env: pytest.MonkeyPatch) -> None:
    real = NamedObjects._head

    def head(named: NamedObjects, path: str, unreachable: list[str]) -> Listed:
        if path.endswith("2.jpg"):
            raise retry.Transient("503")
        return real(named, path, unreachable)

    aws_env.setattr(NamedObjects, "_head", head)
    with proxied(Broken(0.0, (SLOW_DOWN,))) as proxy:
        aws_env.setenv("AWS_ENDPOINT_URL", proxy.address)
        storage._store.cache_clear()
        one, two, three = storage.stat_all([f"s3://{BUCKET}/day/{number}.jpg" for number in (1, 2, 3)])
    assert [type(one), type(three)] == [storage.StoredObject] * 2
    assert isinstance(two, Rejected)
    assert two.detail == "no answer in 1 s (503), while the store gives other objects"
