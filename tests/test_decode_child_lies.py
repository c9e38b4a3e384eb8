"""A decode process that an image has taken over, and what its parent believes of it. See tests/support/takeover.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagefeatures import batches, decode_process, isolation
from imagefeatures.limits import Limits
from support import takeover
from support.photos import jpeg
from support.takeover import blob

GOOD = jpeg(1)


class Exploit:
    """Runs a command where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.file,))


ANSWERS = {
    "a pickle": "{pickle!r}",
    "a pickle with its length": "struct.pack('>I', {length}) + {pickle!r}",
    "that it has finished, in the middle": "b'f'",
    "that it has finished, twice": "b'ff'",
    "that it is ready": "b'r'",
    "noise": "bytes(range(256)) * 4000",
    "nothing, and goes": "b''",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_false_answer_costs_the_image_and_no_other(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.setattr(decode_process, "EXIT_SECONDS", 0.5)
    pickled = pickle.dumps(Exploit(tmp_path / "ran"))
    data = ANSWERS[answer].format(pickle=pickled, length=len(pickled))
    evil = f"data = {data}\nfd = main['connection'].fileno()\n"
    evil += "os.write(fd, data) if data else os.close(fd)\nwhile True: pass\n"
    process = isolation.Isolated(takeover.inspect)
    batch = process.run([GOOD, blob(evil), GOOD], Limits(decode_seconds=5))
    process.stop()
    assert list(batch.records["state"]) == [batches.DONE, batches.REJECTED, batches.DONE]
    assert isolation.rejection(batch.records[1]).reason == "DECODER_CRASHED"
    assert not (tmp_path / "ran").exists()


LIES = {
    "a state that does not exist": "records['state'][1] = 200",
    "a negative width": "records[1] = (2, -5, 5, b'PNG', b'RGB', b'', b'')",
    "more pixels than the limit": "records[1] = (2, 2**31 - 1, 2**31 - 1, b'PNG', b'RGB', b'', b'')",
    "a format that does not exist": "records[1] = (2, 5, 5, b'EXE', b'RGB', b'', b'')",
    "a mode that does not exist": "records[1] = (2, 5, 5, b'PNG', b'\\xff\\xfe', b'', b'')",
    "a reason that does not exist": "records[1] = (3, 0, 0, b'', b'', b'NO_SUCH_REASON', b'x')",
    "bytes that are no text as a reason": "records[1] = (3, 0, 0, b'', b'', b'\\xff' * 24, b'x')",
    "all ones": "records[1:2].view('u1')[:] = 255",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_cannot_be_is_a_crash_of_that_image(lie: str) -> None:
    """The code writes its record, and answers for the rest of the batch by itself, as the child's loop would."""
    evil = f"records = loop['records']\nrecords[2] = records[0]\n{LIES[lie]}\n"
    evil += "os.write(main['connection'].fileno(), b'f')\nwhile True: pass\n"
    process = isolation.Isolated(takeover.inspect)
    batch = process.run([GOOD, blob(evil), GOOD], Limits(decode_seconds=5))
    assert list(batch.records["state"]) == [batches.DONE, batches.REJECTED, batches.DONE]
    assert isolation.rejection(batch.records[1]).reason == "DECODER_CRASHED"
    after = process.run([GOOD], Limits())
    assert after.pid[0] != batch.pid[0] or list(after.records["state"]) == [batches.DONE]
    process.stop()


def test_texts_are_made_printable_again() -> None:
    evil = "loop['records'][0] = (3, 0, 0, b'', b'', b'CORRUPT', b'\\x1b[2J\\nforged: \\xff' + b'x' * 1900)\n"
    evil += "os.write(main['connection'].fileno(), b'f')\nwhile True: pass\n"
    process = isolation.Isolated(takeover.inspect)
    (record,) = process.run([blob(evil)], Limits()).records
    process.stop()
    detail = isolation.rejection(record).detail
    assert detail.isprintable()
    assert len(detail) == 500


def test_a_process_that_says_all_is_done_and_goes_on_is_ended() -> None:
    evil = "loop['records'][0] = (2, 5, 5, b'PNG', b'RGB', b'', b'')\nwhile True: pass\n"
    process = isolation.Isolated(takeover.inspect)
    started = time.monotonic()
    process.run([GOOD], Limits())
    batch = process.run([blob(evil)], Limits(decode_seconds=0.5))
    assert time.monotonic() - started < 30
    assert process._child is None
    assert list(batch.records["state"]) == [batches.DONE]  # its own row may say anything that is possible
    process.stop()


def test_only_the_decode_process_itself_is_ever_killed() -> None:
    """Its parent ends it by its own knowledge of it, not by a number that it could write."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        evil = f"loop['batch'].pid[0] = {bystander.pid}\nwhile True: pass\n"
        process = isolation.Isolated(takeover.inspect)
        (record,) = process.run([blob(evil)], Limits(decode_seconds=0.5)).records
        process.stop()
        assert isolation.rejection(record).reason == "TIMEOUT"
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sealed memory exists on Linux only")
def test_the_shared_memory_cannot_be_cut_under_its_parent() -> None:
    buffer = batches.SharedBuffer.make(2, 8, 100)
    results, sources = buffer.descriptors
    for size in (0, buffer.sizes.results + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(results, size)
        with pytest.raises(OSError, match="Invalid argument"):  # it is open for reading alone
            os.ftruncate(sources, size)
    buffer.close()


CHANGES = """
import mmap
import numpy
sources, descriptor = loop["batch"].buffer.sources, loop["batch"].buffer.descriptors[1]
address = numpy.frombuffer(sources, numpy.uint8).ctypes.data
libc = ctypes.CDLL(None, use_errno=True)
def protect():
    if libc.mprotect(ctypes.c_void_p(address), 1, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect")
for change in (
    lambda: sources.__setitem__(0, 0),
    protect,
    lambda: mmap.mmap(descriptor, 1),
    lambda: os.pwrite(descriptor, b"x", 0),
    lambda: os.write(descriptor, b"x"),
    lambda: os.ftruncate(descriptor, 0),
    lambda: os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR),
):
    try:
        change()
        say("done")
    except Exception as error:
        say(type(error).__name__)
loop["batch"]._bounds[:] = 0
"""


def test_the_images_bytes_cannot_be_changed_by_the_child() -> None:
    """They are what the parent has checked: the next child gets them, and of a rejected image they are kept."""
    process = isolation.Isolated(takeover.inspect)
    blobs = [blob(CHANGES), GOOD]
    batch = process.run(blobs, Limits())
    process.stop()
    assert isolation.rejection(batch.records[0]).detail == (
        "TypeError PermissionError PermissionError PermissionError OSError PermissionError PermissionError"
    )
    assert [batch.original(0), batch.original(1)] == blobs


def test_a_mistake_is_one_of_two_errors_whatever_is_claimed() -> None:
    evil = "loop['records'][0] = (1, 0, 0, b'', b'', b'SystemExit', b'\\x1b[2J')\n"
    evil += "os.write(main['connection'].fileno(), b'm')\nwhile True: pass\n"
    process = isolation.Isolated(takeover.inspect)
    with pytest.raises(ImportError, match=r"^\\x1b\[2J$"):
        process.run([blob(evil)], Limits())
    process.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGRTMIN + 3, signal.SIGSYS])
def test_any_signal_that_ends_it_is_a_reason(number: int) -> None:
    process = isolation.Isolated(takeover.inspect)
    batch = process.run([blob(f"os.kill(os.getpid(), {int(number)})"), GOOD], Limits())
    process.stop()
    assert isolation.rejection(batch.records[0]).reason in ("DECODER_CRASHED", "OUT_OF_MEMORY")
    assert batch.records["state"][1] == batches.DONE
