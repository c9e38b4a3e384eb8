"""Core time and memory of this process and its children, number by number."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagefeatures.usage import processes

MB = 10**6


@pytest.fixture(autouse=True)
def _no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_children", set())


def started(code: str) -> Iterator[subprocess.Popen[str]]:
    """A child that has printed a line, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield child
        child.kill()


@pytest.fixture
def system_child() -> Iterator[subprocess.Popen[str]]:
    """A child most of whose time was spent in the kernel. It prints how much it was."""
    yield from started(
        "import time, sys\n"
        "with open('/dev/zero', 'rb', buffering=0) as zeros:\n"
        "    while time.process_time() < 0.3: zeros.read(1 << 22)\n"
        "print(time.process_time(), flush=True)\nsys.stdin.read()"
    )


@pytest.fixture
def large_child() -> Iterator[subprocess.Popen[str]]:
    """A child that once held 200 MB."""
    yield from started("import sys\nheld = b'x' * 200_000_000\ndel held\nprint(flush=True)\nsys.stdin.read()")


def test_the_kernels_time_for_a_process_counts_too(system_child: subprocess.Popen[str]) -> None:
    assert system_child.stdout
    said = float(system_child.stdout.readline())
    assert processes.core_seconds_of(system_child.pid) == pytest.approx(said, abs=0.05)  # a unit of /proc is 0.01 s


def test_core_seconds_are_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 1.0)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_utime=3.0, ru_stime=5.0))
    monkeypatch.setattr(processes, "core_seconds_of", {7: 10.0, 8: 20.0}.__getitem__)
    assert processes.core_seconds() == 9.0
    processes.watch(7)
    processes.watch(8)
    assert processes.core_seconds() == 39.0
    processes.unwatch(7)
    processes.unwatch(9)
    assert processes.core_seconds() == 29.0


def test_a_forked_process_has_none_of_the_children() -> None:
    code = (
        "import os\nfrom imagefeatures.usage import processes\nprocesses.watch(1)\n"
        "if not os.fork(): os._exit(len(processes._children))\n"
        "print(os.wait()[1], len(processes._children))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "0 1\n"


def test_memory_that_a_child_shares_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"self": {"VmHWM": 1000, "RssShmem": 400}, "6": {"VmHWM": 50}, "7": {"VmHWM": 500, "RssShmem": 200}}
    said |= {"8": {}, "9": {"VmHWM": 100, "RssShmem": 300}}
    monkeypatch.setattr(processes, "_status", said.__getitem__)
    assert processes.peak_memory() == 1000
    for pid in (6, 7, 8, 9):
        processes.watch(pid)
    assert processes.peak_memory() == 1000 + 50 + 300
    monkeypatch.setitem(said, "self", {})
    assert processes.peak_memory() is None


def test_the_peak_of_a_child_counts_until_it_is_forgotten(large_child: subprocess.Popen[str]) -> None:
    assert large_child.stdout
    large_child.stdout.readline()
    alone = processes.peak_memory()
    processes.watch(large_child.pid)
    together = processes.peak_memory()
    processes.forget_peaks()
    later = processes.peak_memory()
    assert alone and together and later
    assert together > alone + 190 * MB
    assert later < together - 150 * MB


def test_a_process_that_is_gone_has_used_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert processes._status(str(child.pid)) == {}
    processes.watch(child.pid)
    assert processes.peak_memory()
    assert processes.core_seconds_of(child.pid) == 0.0
    processes.forget_peaks()


def test_what_the_system_says_in_kilobytes_is_told_in_bytes() -> None:
    text = Path(f"/proc/{os.getpid()}/status").read_text()
    found = processes._status("self")
    for name in ("VmPeak", "VmStk", "VmExe"):
        (kilobytes,) = re.findall(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
        assert found[name] == int(kilobytes) * 1024
    assert not {"Name", "Pid", "Threads"} & set(found)
