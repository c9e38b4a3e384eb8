"""The memory that a batch shares with its decode process: what lies where in it, and which results are possible."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import batches
from imagefeatures.batches import DONE, RECORD, REJECTED, Batch, InMemory, SharedBuffer, Sizes
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

BLOBS = [b"one", b"", b"three"]


@pytest.fixture
def buffer() -> Iterator[SharedBuffer]:
    """Of three images with four bytes of pixels each."""
    made = SharedBuffer.make(3, 4, 8)
    yield made
    made.close()


def test_records_come_first_then_bounds_then_pixels() -> None:
    assert RECORD.names == ("state", "width", "height", "format", "mode", "reason", "detail")
    assert [RECORD[name].str for name in RECORD.names] == ["|u1", "<i4", "<i4", "|S8", "|S12", "|S24", "|S2000"]
    sizes = Sizes(3, 4, 8)
    assert sizes.bounds_at == 3 * RECORD.itemsize
    assert sizes.pixels_at == sizes.bounds_at + 3 * 16
    assert sizes.results == sizes.pixels_at + 12
    assert Sizes(0, 4, 1).results == 16  # nothing cannot be mapped


def test_the_memory_of_nothing_is_a_byte() -> None:
    nothing = SharedBuffer.make(0, 0)
    assert (nothing.sizes, len(nothing.sources), len(nothing.memory)) == (Sizes(0, 0, 1), 1, 16)
    nothing.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory have seals on Linux only")
def test_whoever_has_the_descriptors_can_neither_cut_the_memory_nor_write_into_the_sources(
    buffer: SharedBuffer,
) -> None:
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    for descriptor in buffer.descriptors:
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == seals
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    results, sources = buffer.descriptors
    assert [os.fstat(one).st_size for one in (results, sources)] == [buffer.sizes.results, 8]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(sources, b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    other = SharedBuffer.make(1, 1, 1)
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # noqa: PTH208 - two, and mmap's own copies
    other.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(other.descriptors[0])


@pytest.mark.parametrize("memfd", [True, False], ids=["in memory", "in a folder"])
def test_what_one_process_writes_the_other_sees(memfd: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memfd:
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr(batches.tempfile, "tempdir", str(tmp_path))
    made = SharedBuffer.make(3, 4, 8)
    assert list(tmp_path.iterdir()) == []
    assert not memfd or fcntl.fcntl(made.descriptors[1], fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    passed = [os.dup(descriptor) for descriptor in made.descriptors]
    theirs = SharedBuffer.received(made.sizes, passed)
    sources = InMemory(BLOBS)
    assert (sources.size, sources.bounds.tolist()) == (8, [[0, 3], [3, 3], [3, 8]])
    sources.read_into(memoryview(made.sources))
    ours, batch = Batch(made, 3, (2, 2)), Batch(theirs, 3, (2, 2))
    ours.hand_out(0, sources.bounds)
    assert [batch.source(index) for index in range(3)] == BLOBS
    batch.pixels[1] = 7
    batch.written[:] = [(DONE, 1, 1, b"PNG", b"RGB", b"", b"")] * 3
    assert ours.pixels[1].tolist() == [[7, 7], [7, 7]]
    assert ours.written["state"].tolist() == [DONE] * 3
    with pytest.raises(TypeError, match="readonly"):
        theirs.sources[0] = 1
    ours.hand_out(2, np.array([[0, 0], [0, 0], [1, 3]]))
    assert (batch.source(0), batch.source(2)) == (b"one", b"ne")
    assert ours.written["state"].tolist() == [DONE, DONE, 0]
    batch._bounds[2] = (0, 8)  # as a process would that was taken over
    assert ours.original(2) == b"ne"
    made.close()
    theirs.close()
    for descriptor in (*made.descriptors, *passed):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_batch_begins_with_nothing_done(buffer: SharedBuffer) -> None:
    batch = Batch(buffer, 2, (2, 1), "uint16")
    assert (batch.count, batch.pid.tolist(), batch.records["state"].tolist()) == (2, [0], [0, 0])
    assert (batch.written.shape, batch.pixels.shape, batch.pixels.dtype) == ((2,), (2, 2, 1), np.uint16)
    batch.pixels[:] = [[[1], [2]], [[3], [4]]]
    batch.records["state"] = [REJECTED, DONE]
    assert batch.decoded_pixels().tolist() == [[[3], [4]]]
    batch.records["state"] = DONE
    assert batch.decoded_pixels() is batch.pixels


GOOD = (DONE, 20, 30, b"PNG", b"RGB", b"", b"")
BAD = (REJECTED, 0, 0, b"", b"", b"CORRUPT", b"why")


@pytest.mark.parametrize(
    ("record", "possible"),
    [
        (GOOD, True),
        (BAD, True),
        ((DONE, 20, 30, b"", b"I;16", b"", b""), True),
        ((DONE, 20, 30, b"NPY", b"L", b"", b""), True),
        ((DONE, 1, 1, b"JPEG2000", b"CMYK", b"", b""), True),
        ((DONE, 0, 30, b"PNG", b"RGB", b"", b""), False),
        ((DONE, 20, 0, b"PNG", b"RGB", b"", b""), False),
        ((DONE, -20, -30, b"PNG", b"RGB", b"", b""), False),
        ((DONE, 20, 31, b"PNG", b"RGB", b"", b""), False),
        ((DONE, 20, 30, b"EPS", b"RGB", b"", b""), False),
        ((DONE, 20, 30, b"PNG", b"LAB?", b"", b""), False),
        ((REJECTED, 0, 0, b"", b"", b"WHATEVER", b""), False),
        ((0, 20, 30, b"PNG", b"RGB", b"", b""), False),
        ((0, 20, 30, b"PNG", b"RGB", b"CORRUPT", b""), False),
    ],
)
def test_only_what_a_decoder_leaves_is_possible(record: tuple[object, ...], possible: bool) -> None:
    records = np.array([record, GOOD], RECORD)
    assert batches.impossible(records, Limits(max_pixels=600)).tolist() == [not possible, False]


def test_of_bands_one_mode_alone_is_possible() -> None:
    records = np.array([GOOD, (DONE, 20, 30, b"TIFF", b"uint16x12", b"", b""), BAD], RECORD)
    assert batches.impossible(records, Limits(), "uint16x12").tolist() == [True, False, False]


def test_a_rejection_is_noted_and_read_as_it_was() -> None:
    records = np.zeros(2, RECORD)
    batches.note_rejected(records, 1, Rejected(Reason.TIMEOUT, "it took\nlong: é"))
    assert records[1].item() == (REJECTED, 0, 0, b"", b"", b"TIMEOUT", "it took\\nlong: é".encode())
    assert records[0].item() == (0, 0, 0, b"", b"", b"", b"")
    why = batches.rejection(records[1])
    assert (why.reason, why.detail) == (Reason.TIMEOUT, "it took\\nlong: é")
