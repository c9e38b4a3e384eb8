"""Staged files after a crash of the machine: a receipt counts only with its files, and a broken one never."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import storage
from imagefeatures.layout import Layout
from imagefeatures.shards import Receipt, ShardWork, pending, read_output, read_receipt, read_receipts

STEP = "validate"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(f"file://{tmp_path}", "photos", "2026-11-02", "r1")


def work(layout: Layout, shard: int = 0, number: int = 1) -> Receipt:
    return ShardWork(layout, STEP, shard).finish(1, pa.table({"number": [number]}))


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [emptied, shortened, zeroed])
def test_a_broken_receipt_counts_as_none_and_is_replaced(layout: Layout, damage: Callable[[Path], None]) -> None:
    work(layout, 0)
    work(layout, 1)
    damage(path_of(layout.receipt(STEP, 1)))
    assert pending(layout, STEP, 3) == [1, 2]
    assert [receipt.shard for receipt in read_receipts(layout, STEP)] == [0]
    with pytest.raises(storage.ObjectMissing):
        read_receipt(layout.receipt(STEP, 1))
    again = work(layout, 1, number=7)
    assert pending(layout, STEP, 3) == [2]
    assert read_receipt(layout.receipt(STEP, 1)) == again
    assert read_output(layout, STEP, 1)["number"].to_pylist() == [7]


@pytest.mark.parametrize("damage", [emptied, shortened, Path.unlink])
def test_a_receipt_whose_file_is_lost_counts_as_none_and_is_replaced(
    layout: Layout, damage: Callable[[Path], None]
) -> None:
    lost = work(layout)
    damage(path_of(lost.output.uri))
    assert pending(layout, STEP, 1) == [0]
    again = work(layout, number=7)
    assert again.output.uri != lost.output.uri
    assert pending(layout, STEP, 1) == []
    assert read_output(layout, STEP, 0)["number"].to_pylist() == [7]


def test_a_receipt_of_other_columns_counts_as_none(layout: Layout) -> None:
    work(layout)
    storage.write(layout.receipt(STEP, 0), json.dumps({"step": STEP}).encode())
    assert pending(layout, STEP, 1) == [0]
