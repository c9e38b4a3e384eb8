"""A decode process as its parent holds it: what it is given, what it is told, and that nothing of it is left."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import decode_process, images, isolation
from imagefeatures.batches import SharedBuffer
from imagefeatures.decode_child import READY, UNCONFINED, Job
from imagefeatures.decode_process import DecodeProcess, ProcessLost
from imagefeatures.limits import Limits
from imagefeatures.usage import processes
from support.photos import jpeg

linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes can be looked at on Linux only")


@linux
def test_a_process_has_three_variables_besides_those_that_python_needs() -> None:
    process = DecodeProcess(images.inspect)
    try:
        while not (written := Path(f"/proc/{process.pid}/environ").read_bytes()):
            pass  # the interpreter is not there yet
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    finally:
        process.end()
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in os.environ}
    own = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    assert dict(line.split("=", 1) for line in written.decode().strip("\0").split("\0")) == kept | own
    assert command[1:3] == [b"-I", b"-c"]


@linux
def test_a_process_that_does_not_listen_is_ended_and_waited_for() -> None:
    process = DecodeProcess(images.inspect)
    pid = process.pid
    assert pid in processes._children
    os.kill(pid, signal.SIGSTOP)
    process.end()
    assert not Path(f"/proc/{pid}").exists()
    assert pid not in processes._children
    assert process._connection.fileno() == -1
    process.end()  # nothing is left to do


@linux
def test_a_process_that_nobody_holds_is_ended() -> None:
    process = DecodeProcess(images.inspect)
    pid = process.pid
    del process
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_dies_with_its_batch_unread_is_dead() -> None:
    process, buffer = DecodeProcess(images.inspect), SharedBuffer.make(1, 1)
    try:
        while (answer := process.answer()) is None:
            pass
        assert answer in (READY, UNCONFINED)
        process.ready = True
        os.kill(process.pid, signal.SIGSTOP)
        process.begin(Job(Limits(), None, buffer.sizes, 1, (0,), "uint8", 0), buffer)
        assert process.answer() is None
        process.kill()
        while (answer := process.answer()) is None:
            pass
        assert answer == b""
        assert process.cause_of_death().reason == "OUT_OF_MEMORY"
    finally:
        process.end()
        buffer.close()


def test_memory_is_handed_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, given = decode_process.send, list[int]()

    def noted(connection: Any, message: object, descriptors: tuple[int, ...] = ()) -> None:
        given.append(len(descriptors))
        real(connection, message, descriptors)

    monkeypatch.setattr(decode_process, "send", noted)
    child = isolation.Isolated(images.inspect)
    for count in (2, 2, 1, 9):
        child.run([jpeg(1)] * count, Limits())
    child.stop()
    assert given == [0, 2, 0, 0, 2]  # the work; then, with a batch, memory where there is not yet enough


def test_a_process_that_ends_without_a_signal_has_crashed_too() -> None:
    assert decode_process.cause_of_death_by(0).detail == "the decoder crashed (exit status 0)"


def test_one_that_is_dead_takes_no_batch() -> None:
    process, buffer = DecodeProcess(images.inspect), SharedBuffer.make(1, 1)
    try:
        process.kill()
        process._process.wait()
        with pytest.raises(ProcessLost, match="killed by the system"):
            process.begin(Job(Limits(), None, buffer.sizes, 1, (0,), "uint8", 0), buffer)
    finally:
        process.end()
        buffer.close()


def test_one_that_hangs_up_and_goes_on_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_process, "EXIT_SECONDS", 0.01)
    process = DecodeProcess(images.inspect)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        assert process.cause_of_death() is decode_process.LIAR
        assert process._process.wait(60) == -signal.SIGKILL
    finally:
        process.end()


def test_where_nothing_confines_them_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    decode_process.warn_that_it_is_not_confined.cache_clear()
    for _ in range(2):
        decode_process.warn_that_it_is_not_confined()
    assert caplog.text.count("decode processes are not confined here") == 1
