"""The decode process of a batch: how it starts and ends, batches that follow each other, and the memory they share."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import batches, decode_process, images, isolation
from imagefeatures.bitmaps import BitmapRule
from imagefeatures.errors import DecoderUnavailable
from imagefeatures.limits import Limits
from support.photos import jpeg
from support.shared import PREPROCESSING, decode


def _cannot_be_made(data: bytes, limits: Limits) -> images.Header:
    raise AssertionError("never called")


def test_a_child_that_cannot_start_is_an_error_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_process, "PROGRAM", "import os; os._exit(3)")
    stillborn = isolation.Isolated(_cannot_be_made)
    with pytest.raises(DecoderUnavailable, match=r"no decode process lives: .*\(exit status 3\)"):
        stillborn.run([b"x"], Limits())
    stillborn.stop()


@pytest.mark.parametrize("seconds", [0, 1], ids=["unnoticed", "noticed"])
def test_a_child_that_dies_between_two_batches_costs_nothing(seconds: float) -> None:
    child = isolation.Isolated(images.decode)
    batch = child.run([jpeg(1)], Limits(), PREPROCESSING)
    pid, pixels = int(batch.pid[0]), batch.pixels[0].copy()
    os.kill(pid, signal.SIGKILL)
    time.sleep(seconds)
    second = child.run([jpeg(1), jpeg(2)], Limits(), PREPROCESSING)
    assert list(second.records["state"]) == [isolation.DONE, isolation.DONE]
    assert second.pid[0] != pid
    assert (second.pixels[0] == pixels).all()
    child.stop()


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from imagefeatures import isolation\n"
        "from imagefeatures.datasets import Limits\n"
        "if __name__ == '__main__':\n"
        "    print(int(isolation.inspector().run([b'x'], Limits()).pid[0]), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    child = int(parent.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_an_empty_batch_starts_nothing() -> None:
    child = isolation.Isolated(images.decode)
    batch = child.run([], Limits(), PREPROCESSING)
    assert batch.decoded_pixels().shape == (0, 224, 224, 3)
    assert child._child is None


def _mistaken(data: bytes, limits: Limits) -> images.Header:
    return undefined_name  # noqa: F821


def _lacking(data: bytes, limits: Limits) -> images.Header:
    raise ImportError("there is no such decoder")


@pytest.mark.parametrize(
    ("work", "error", "says"), [(_mistaken, NameError, "undefined_name"), (_lacking, ImportError, "no such decoder")]
)
def test_a_bug_in_our_code_stops_the_run_and_is_no_rejection(
    work: Callable[..., images.Header], error: type[Exception], says: str
) -> None:
    child = isolation.Isolated(work)
    with pytest.raises(error, match=says):
        child.run([b"x"], Limits())
    child.stop()


def _choosy(data: bytes, limits: Limits) -> images.Header:
    if data == b"odd":
        raise LookupError("nothing of this kind")
    return images.inspect(data, limits)


def test_any_other_error_is_that_of_its_image_alone() -> None:
    child = isolation.Isolated(_choosy)
    records = child.run([b"odd", jpeg()], Limits()).records
    child.stop()
    rejected = isolation.rejection(records[0])
    assert (rejected.reason, rejected.detail) == ("CORRUPT", "LookupError: nothing of this kind")
    assert [records[1][name] for name in ("state", "reason", "detail")] == [batches.DONE, b"", b""]


def test_a_batch_that_is_done_before_its_parent_looks_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode_process.DecodeProcess.answer

    def late(process: decode_process.DecodeProcess) -> bytes | None:
        deadline = time.monotonic() + 60
        while not process.ready and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if len(process._connection.recv(16, socket.MSG_PEEK)) == 2:  # ready, and finished
                    break
        return real(process)

    monkeypatch.setattr(decode_process.DecodeProcess, "answer", late)
    child = isolation.Isolated(images.decode)
    assert list(child.run([jpeg(1)], Limits(), PREPROCESSING).records["state"]) == [isolation.DONE]
    child.stop()


def test_batches_of_any_size_follow_each_other() -> None:
    child = isolation.Isolated(images.decode)
    for count in (1, 3, 2, 5, 0, 4):
        blobs = [jpeg(at, 64 + 40 * count, 64) for at in range(count)]
        batch = child.run(blobs, Limits(), PREPROCESSING)
        assert list(batch.records["width"]) == [64 + 40 * count] * count
        for blob, pixels in zip(blobs, batch.pixels, strict=True):
            np.testing.assert_array_equal(pixels, decode(blob, Limits()).pixels)
    child.stop()


def open_descriptors() -> set[str]:
    return {f"{path.name} {path.readlink()}" for path in Path("/proc/self/fd").iterdir() if path.exists()}


linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors can be listed on Linux only")


@linux
@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize(
    ("name", "in_a_folder"),
    [("memfd_create", False), ("ftruncate", False), ("open", False), ("ftruncate", True), ("open", True)],
)
def test_memory_that_cannot_be_had_leaves_no_descriptor_open(
    name: str, in_a_folder: bool, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """in_a_folder: as on a system without files in memory. tempfile opens the file itself, by the same function."""
    if in_a_folder:
        monkeypatch.delattr(os, "memfd_create")
    real, calls = getattr(os, name), iter(range(9))

    def failing(*given: object) -> object:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "no room")
        return real(*given)

    before = open_descriptors()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(os, name, failing)
        batches.SharedBuffer.make(2, 3, 4)
    assert open_descriptors() == before


@linux
@pytest.mark.parametrize("call", [0, 1])
def test_memory_that_cannot_be_mapped_leaves_no_descriptor_open(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = mmap.mmap, iter(range(9))

    def failing(*given: object) -> mmap.mmap:
        if next(calls) == call:
            raise OSError(errno.ENOMEM, "no memory")
        return real(*given)

    before = open_descriptors()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no memory"):
        patch.setattr(mmap, "mmap", failing)
        batches.SharedBuffer.make(2, 3, 4)
    assert open_descriptors() == before


def test_a_buffer_that_is_closed_is_not_used_again_when_there_is_no_memory_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*given: object) -> batches.SharedBuffer:
        raise OSError(errno.EMFILE, "too many open files")

    child = isolation.Isolated(images.decode)
    child.run([jpeg(1)], Limits(), PREPROCESSING)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="too many open files"):
        patch.setattr(batches.SharedBuffer, "make", failing)
        child.run([jpeg(1)] * 2, Limits(), PREPROCESSING)
    with open(os.devnull, "rb") as first, open(os.devnull, "rb") as second:  # noqa: PTH123 - with the numbers that are free
        batch = child.run([jpeg(1)], Limits(), PREPROCESSING)  # for which the closed one had room
        assert list(batch.records["state"]) == [isolation.DONE]
        child.stop()
        assert first.read() == second.read() == b""


def _of_another_size(data: bytes, limits: Limits, preprocessing: object) -> images.Decoded:
    shape = (1, 1, 3) if data == b"one" else (3, 2, 3)
    return images.Decoded(np.zeros(shape, np.uint8), 2, 3, "RGB")


def test_pixels_of_another_shape_are_corrupt_and_no_crash() -> None:
    child = isolation.Isolated(_of_another_size)
    batch = child.run([b"two", b"one", b"two"], Limits(), BitmapRule(2, 3, 3, stored=False))
    why = [isolation.rejection(record) for record in batch.records]
    assert [(each.reason, each.detail) for each in why] == [
        ("CORRUPT", f"its pixels came out as {found}, its header says 2 × 3 × 3")
        for found in ("3 × 2 × 3", "1 × 1 × 3", "3 × 2 × 3")
    ]
    assert child._child is not None  # it lives
    child.stop()
