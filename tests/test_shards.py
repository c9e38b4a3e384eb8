from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import storage
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.layout import Layout
from imagefeatures.reasons import Reason
from imagefeatures.shards import (
    Receipt,
    ShardWork,
    StagedFile,
    pending,
    read_output,
    read_receipt,
    read_receipts,
    read_staged,
    totals,
)

STEP = "validate"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(f"file://{tmp_path}", "fruit", "2026-11-02", "r1")


def rows(*uris: str) -> pa.Table:
    return pa.table({"uri": list(uris), "size": list(range(len(uris)))})


def done(layout: Layout, shard: int, *uris: str) -> Receipt:
    return ShardWork(layout, STEP, shard).finish(len(uris), rows(*uris))


def local(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def test_a_receipt_counts_rows_in_rows_out_and_rejections(layout: Layout) -> None:
    before = time.time()
    work = ShardWork(layout, STEP, 3)
    work.reject({"uri": "b", "size": 7, "label": "fig", "width": 1}, Rejected(Reason.CORRUPT, "wrong\nCRC"))
    work.reject({"uri": "c"}, Rejected(Reason.CORRUPT, "x" * 1000))
    work.reject({"uri": "d", "etag": "e", "image_id": "i"}, Rejected(Reason.TRUNCATED, "no end"))
    receipt = work.finish(4, rows("a"))
    assert (receipt.step, receipt.shard, receipt.rows_in, receipt.output.rows) == (STEP, 3, 4, 1)
    assert receipt.reasons == {"CORRUPT": 2, "TRUNCATED": 1}
    assert receipt.rows_in == receipt.output.rows + sum(receipt.reasons.values())
    assert before <= receipt.started_at <= receipt.started_at + receipt.seconds <= time.time() + 0.01
    assert receipt.rejected is not None
    rejected = read_staged(receipt.rejected).to_pylist()
    assert rejected[0] == {
        "uri": "b",
        "image_id": None,
        "size": 7,
        "etag": None,
        "label": "fig",
        "key": None,
        "step": STEP,
        "reason": "CORRUPT",
        "detail": "wrong\\nCRC",
    }
    assert len(rejected[1]["detail"]) == 500
    assert (rejected[2]["etag"], rejected[2]["image_id"], rejected[2]["reason"]) == ("e", "i", "TRUNCATED")


def test_a_receipt_is_read_back_as_it_was_written(layout: Layout) -> None:
    work = ShardWork(layout, STEP, 3)
    work.reject({"uri": "b"}, Rejected(Reason.CORRUPT, "wrong CRC"))
    receipt = work.finish(2, rows("a"))
    assert read_receipt(layout.receipt(STEP, 3)) == receipt
    assert read_output(layout, STEP, 3) == rows("a")
    assert read_output(layout, STEP, 3, columns=["uri"]) == rows("a").select(["uri"])


def test_a_shard_without_rows_has_a_receipt_too(layout: Layout) -> None:
    receipt = ShardWork(layout, STEP, 0).finish(0, rows())
    assert (receipt.output.rows, receipt.rejected, receipt.reasons) == (0, None, {})
    assert read_output(layout, STEP, 0).num_rows == 0


def test_the_first_receipt_wins_and_files_of_other_attempts_are_ignored(layout: Layout) -> None:
    slow, fast = ShardWork(layout, STEP, 0), ShardWork(layout, STEP, 0)
    slow.reject({"uri": "slow"}, Rejected(Reason.CORRUPT, "slow"))
    won = fast.finish(1, rows("fast"))
    assert slow.finish(1, rows()) == won
    assert read_receipts(layout, STEP) == [won]
    assert read_output(layout, STEP, 0)["uri"].to_pylist() == ["fast"]
    assert won.rejected is None


def test_shards_without_a_receipt_are_pending(layout: Layout) -> None:
    assert pending(layout, STEP, 3) == [0, 1, 2]
    for shard in range(3):
        done(layout, shard, "a")
    assert pending(layout, STEP, 3) == []
    assert pending(layout, "resize", 3) == [0, 1, 2]  # receipts of one step do not count for another


def test_without_its_receipt_one_shard_alone_is_pending_again(layout: Layout) -> None:
    first = [done(layout, shard, f"{shard}") for shard in range(4)]
    local(layout.receipt(STEP, 2)).unlink()
    assert pending(layout, STEP, 4) == [2]
    again = done(layout, 2, "2")
    assert again.output.uri != first[2].output.uri
    assert [r.output.uri for r in read_receipts(layout, STEP)] == [
        first[0].output.uri,
        first[1].output.uri,
        again.output.uri,
        first[3].output.uri,
    ]


def test_a_data_file_without_a_receipt_is_an_unfinished_shard(layout: Layout) -> None:
    receipt = done(layout, 0, "a")
    local(layout.receipt(STEP, 0)).unlink()
    assert local(receipt.output.uri).is_file()
    assert pending(layout, STEP, 1) == [0]
    with pytest.raises(storage.ObjectMissing):
        read_output(layout, STEP, 0)


def test_receipts_come_in_the_order_of_their_shards(layout: Layout) -> None:
    for shard in (100_000, 3, 20, 0):
        done(layout, shard, "a")
    assert [receipt.shard for receipt in read_receipts(layout, STEP)] == [0, 3, 20, 100_000]


def test_one_flipped_bit_anywhere_in_a_staged_file_is_found(layout: Layout) -> None:
    file = done(layout, 0, "a", "b", "c").output
    path, whole = local(file.uri), local(file.uri).read_bytes()
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(AuditFailed, match=r"digest differs"):
            read_staged(file)
    path.write_bytes(whole[:-1])
    with pytest.raises(AuditFailed, match=f"{len(whole) - 1} bytes are not the {len(whole)} that were written"):
        read_output(layout, STEP, 0)
    path.write_bytes(whole)
    assert read_staged(file) == rows("a", "b", "c")


def test_a_receipt_that_counts_other_rows_than_the_file_is_found(layout: Layout) -> None:
    done(layout, 0, "a", "b")
    path = local(layout.receipt(STEP, 0))
    content = json.loads(path.read_text())
    content["output"]["rows"] = 3
    path.write_text(json.dumps(content))
    with pytest.raises(AuditFailed, match="2 rows where the receipt says 3"):
        read_output(layout, STEP, 0)


def receipt(start: float, seconds: float, rows_in: int = 3, passed: int = 2, size: int = 10) -> Receipt:
    return Receipt(STEP, 0, rows_in, StagedFile("uri", passed, size, ""), None, {}, start, seconds)


def test_totals_sum_rows_and_bytes() -> None:
    found = totals([receipt(0, 2), receipt(0, 2, rows_in=5, passed=4, size=7)])
    assert (found.images, found.passed, found.bytes, found.images_per_second) == (8, 6, 17, 4.0)


@pytest.mark.parametrize(
    ("intervals", "busy"),
    [
        ([], 0),
        ([(100, 5)], 5),
        ([(100, 5), (105, 5)], 10),
        ([(100, 5), (200, 5)], 10),
        ([(100, 5), (102, 5)], 7),
        ([(100, 10), (102, 3), (104, 2)], 10),
        ([(104, 2), (100, 10), (102, 3), (120, 1), (109, 3)], 13),
    ],
    ids=["none", "one", "end to end", "apart", "overlap", "inside", "mixed"],
)
def test_busy_seconds_are_the_union_of_the_shards_intervals(intervals: list[tuple[int, int]], busy: int) -> None:
    assert totals(receipt(*interval) for interval in intervals).seconds == busy
    assert totals(receipt(*interval) for interval in reversed(intervals)).seconds == busy


def test_a_step_of_zero_seconds_has_no_speed() -> None:
    assert totals([]).images_per_second == 0


def test_reused_rows_are_counted_as_passed_and_separately(layout: Layout) -> None:
    work = ShardWork(layout, STEP, 0)
    work.reject({"uri": "d"}, Rejected(Reason.CORRUPT, "wrong CRC"))
    receipt = work.finish(4, rows("a"), rows("b", "c"))
    assert (receipt.passed, receipt.output.rows, receipt.reused.rows) == (3, 1, 2)
    assert read_receipt(layout.receipt(STEP, 0)) == receipt
    assert read_staged(receipt.reused) == rows("b", "c")
    sums = totals([receipt, done(layout, 1, "e")])
    assert (sums.images, sums.passed, sums.reused) == (5, 4, 2)
    assert sums.bytes > receipt.output.size + receipt.reused.size


def test_a_receipt_of_a_version_without_reuse_is_read(layout: Layout) -> None:
    receipt = done(layout, 0, "a")
    file = local(layout.receipt(STEP, 0))
    content = json.loads(file.read_text())
    assert content.pop("reused") is None
    file.write_text(json.dumps(content))
    assert read_receipt(layout.receipt(STEP, 0)) == receipt
