"""The files of a shard as they are written: whole, whatever their size, and by a buffer that is used again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import staged, storage
from imagefeatures.errors import Rejected, StoreError
from imagefeatures.forget import deny
from imagefeatures.layout import Layout
from imagefeatures.reasons import Reason
from imagefeatures.shards import Further, ShardWork, read_receipt, read_staged
from support.blob_files import write_blobs

STEP = "resize"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(f"file://{tmp_path}", "fruit", "2026-11-02", "r1")


@pytest.fixture
def _no_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a thread that has written nothing yet."""
    monkeypatch.setattr(staged, "_per_thread", staged.threading.local())


def noise(mebibytes: int) -> pa.Table:
    """Bytes that no compression makes smaller, in values of one mebibyte."""
    random = np.random.default_rng(mebibytes)
    return pa.table({"data": [random.bytes(1 << 20) for _ in range(mebibytes)]})


@pytest.mark.usefixtures("_no_buffer")
def test_files_of_any_size_follow_each_other_and_are_read_as_they_were_written(layout: Layout) -> None:
    narrow = pa.table({f"column {number}": pa.array(range(2000), pa.int64()) for number in range(40)})
    tables = [noise(1), noise(12), noise(2), pa.table({"a": pa.array([], pa.int64())}), narrow, noise(12)]
    for options in ({"compression": "none", "use_dictionary": False}, {"compression": "zstd"}):
        for shard, table in enumerate(tables):
            receipt = ShardWork(layout, STEP, shard).finish(table.num_rows, table, **options)
            assert read_staged(receipt.output).equals(table)
            assert receipt.output.size == Path(receipt.output.uri.removeprefix("file://")).stat().st_size
            Path(layout.receipt(STEP, shard).removeprefix("file://")).unlink()


@pytest.mark.usefixtures("_no_buffer")
def test_a_buffer_is_used_again_until_it_is_too_small() -> None:
    small, large = staged._scratch_buffer(noise(1)), staged._scratch_buffer(noise(8))
    assert small is not large
    assert large.size > 8 << 20
    assert staged._scratch_buffer(noise(1)) is large
    assert staged._scratch_buffer(noise(8)) is large


def test_a_file_that_the_store_does_not_take_is_an_error_and_there_is_no_receipt(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.write

    def refuse(uri: str, data: bytes, only_if_absent: bool = False) -> bool:
        if uri.endswith(".parquet"):
            raise StoreError("no answer in 60 s")
        return real(uri, data, only_if_absent=only_if_absent)

    monkeypatch.setattr(storage, "write", refuse)
    with pytest.raises(StoreError, match="no answer"):
        ShardWork(layout, STEP, 0).finish(1, noise(1))
    assert not storage.exists(layout.receipt(STEP, 0))


@pytest.mark.parametrize(("keep", "data"), [(True, b"x"), (True, None), (True, b""), (False, b"x")])
def test_rejected_bytes_are_kept_where_there_are_any_and_the_dataset_says_so(
    layout: Layout, tmp_path: Path, keep: bool, data: bytes | None
) -> None:
    work = ShardWork(layout, STEP, 0, keep)
    work.reject({"uri": "a", "image_id": "i"}, Rejected(Reason.CORRUPT, "why"), data)
    kept = [path.read_bytes() for path in tmp_path.rglob("quarantine/**/*") if path.is_file()]
    assert kept == ([data] if keep and data else [])


def test_rejected_bytes_of_a_forgotten_image_are_not_kept(layout: Layout, tmp_path: Path) -> None:
    deny.add(layout.lake, "one", ["i"], [])
    work = ShardWork(layout, STEP, 0, True)
    for image_id in "ij":
        work.reject({"uri": "a", "image_id": image_id}, Rejected(Reason.CORRUPT, "why"), b"x")
    assert [path.name for path in tmp_path.rglob("quarantine/**/*") if path.is_file()] == ["j"]


def test_only_what_has_rows_has_a_file(layout: Layout) -> None:
    table = pa.table({"a": [1]})
    plain = ShardWork(layout, STEP, 0).finish(1, table, table.slice(1))
    assert (plain.rejected, plain.reused, plain.passed) == (None, None, 1)
    work = ShardWork(layout, STEP, 1)
    work.reject({"uri": "a"}, Rejected(Reason.CORRUPT, "why"))
    both = work.finish(3, table, table)
    assert both.rejected is not None and both.reused is not None
    stem = both.output.uri.removesuffix(".parquet")
    assert (both.rejected.uri, both.reused.uri) == (f"{stem}-rejected.parquet", f"{stem}-reused.parquet")
    assert (both.rejected.rows, both.reused.rows, both.passed) == (1, 1, 2)


def test_a_version_before_can_read_a_receipt_of_files_that_are_parquet_as_a_whole(layout: Layout) -> None:
    work, table = ShardWork(layout, STEP, 0), pa.table({"pixels": pa.array([b"123456"], pa.binary(6))})
    work.reject({"uri": "a"}, Rejected(Reason.CORRUPT, "why"))
    outside = write_blobs(layout.new_output(STEP, 0), table, "pixels")
    receipt = work.finish(3, table, table, [Further(table), Further(outside, table)])
    written = json.loads(storage.read(layout.receipt(STEP, 0)))
    further = [file for one in written["further"] for file in one.values() if file]
    known = {"uri", "rows", "size", "sha256"}
    assert [set(written[name]) for name in ("output", "rejected", "reused")] == [known] * 3
    assert [set(file) for file in further] == [known, {*known, "blob_bytes", "blob_digest"}, known]
    assert read_receipt(layout.receipt(STEP, 0)) == receipt
