"""A container that its store never gives is a row, or a row for each of its images; the others are read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest, storage
from imagefeatures.errors import Rejected, StoreError
from imagefeatures.sources import Item, ParquetBytes, Source, Tar
from imagefeatures.storage import others, retry
from imagefeatures.storage import s3 as s3_store
from support.doors import parquet, tar
from support.fault_proxy import SLOW_DOWN, FaultProxy, Plan, fault_proxy
from support.listing import WORKERS
from support.photos import fill, jpeg
from support.shared import BUCKET, MakeRun

PHOTO = jpeg(1)
KINDS: dict[str, tuple[Callable[[], bytes], Callable[..., Source]]] = {
    "tar": (lambda: tar([("x.jpg", PHOTO)]), Tar),
    "parquet_bytes": (lambda: parquet({"image": [PHOTO], "id": ["k"]}), ParquetBytes),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def files(kind: str) -> dict[str, bytes]:
    """Three containers of one image each, in folders of their own."""
    ending = kind.partition("_")[0]
    return {f"{name}/{name}.{ending}": KINDS[kind][0]() for name in "abc"}


def source_of(kind: str, uri: str) -> Any:
    return KINDS[kind][1](kind=kind, uri=uri, **({"key": "id"} if kind == "parquet_bytes" else {}))


def fail_to_read(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Reads of files with these names fail, as those of blocks that a disk has lost."""
    read = os.pread

    def fails(descriptor: int, most: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(names):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, most, offset)

    monkeypatch.setattr(os, "pread", fails)


def checked(lost: Item, others: list[Item]) -> None:
    assert lost.rejected is not None
    assert lost.rejected.reason == "NOT_READABLE"
    assert lost.rejected.detail.endswith("while the store gives other objects")
    assert [item.rejected for item in others] == [None, None]


def test_a_file_that_the_disk_has_lost_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    source = source_of(kind, f"file://{fill(tmp_path, files(kind))}/")
    fail_to_read(monkeypatch, "b.")
    first, lost, last = source.items()
    checked(lost, [first, last])
    assert lost.uri.partition(".")[0].endswith("/b/b")
    assert "Input/output error" in lost.rejected.detail


def test_a_file_that_is_lost_after_the_listing_is_a_row_for_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = source_of(kind, f"file://{fill(tmp_path, files(kind))}/")
    items = list(source.items())
    fail_to_read(monkeypatch, "b.")
    first, lost, last = source.fetch(items, 1 << 20)
    assert (first, last) == (PHOTO, PHOTO)
    assert isinstance(lost, Rejected)
    assert lost.reason == "NOT_READABLE"


def test_a_disk_that_gives_nothing_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, make_run: MakeRun
) -> None:
    source = source_of(kind, f"file://{fill(tmp_path / 'shards', files(kind))}/")
    run = make_run(source.model_dump())
    items = list(source.items())
    fail_to_read(monkeypatch, "a.", "b.", "c.")
    with pytest.raises(StoreError, match=r"Input/output error$"):
        manifest.list_source(run, WORKERS)
    with pytest.raises(StoreError, match=r"Input/output error$"):
        list(source.fetch(items, 1 << 20))


class Broken(Plan):
    """Every GET of these objects fails."""

    names: tuple[str, ...] = ("b.tar", "b.parquet")

    def fault(self, path: str, turn: int) -> str | None:
        return super().fault(path, turn) if path.partition("?")[0].endswith(self.names) else None


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
def test_an_object_that_never_comes_is_a_row_unless_none_comes(
    _s3_server: str, _s3_session: Any, aws_env: pytest.MonkeyPatch, kind: str, everything: bool
) -> None:
    aws_env.setattr(retry, "LONGEST_WAIT_SECONDS", 0.25)
    aws_env.setattr(s3_store, "RETRY_SECONDS", 1.0)
    aws_env.setattr(others, "SECONDS", 4.0)
    client = _s3_session.client("s3", endpoint_url=_s3_server)
    client.create_bucket(Bucket=BUCKET)
    for name, data in files(kind).items():
        client.put_object(Bucket=BUCKET, Key=f"{kind}/{name}", Body=data)

    def listed(proxy: FaultProxy) -> list[Item]:
        aws_env.setenv("AWS_ENDPOINT_URL", proxy.address)
        storage._store.cache_clear()
        return list(source_of(kind, f"s3://{BUCKET}/{kind}/").items())

    broken = Broken(1.0, (SLOW_DOWN,))
    if everything:
        broken.names = (".tar", ".parquet")
    with fault_proxy(_s3_server, broken) as proxy:
        if everything:
            with pytest.raises(StoreError, match="no answer in 1 s"):
                listed(proxy)
            return
        first, lost, last = listed(proxy)
    checked(lost, [first, last])
