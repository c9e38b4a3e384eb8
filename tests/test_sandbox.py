"""The filter of system calls, run here as the kernel runs it, for every processor that has one."""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures import sandbox

ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
PID = 4242
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def verdict(machine: sandbox.Machine, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter says of a system call: a small machine for the four instructions that it is made of."""
    program = sandbox.filter_program(machine, PID)
    data = struct.pack("IIQ6Q", number, audit or machine.audit, 0, *arguments, *[0] * (6 - len(arguments)))
    at = loaded = 0
    while True:
        code, if_true, if_false, operand = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("I", data, operand)
            case 0x15:
                at += if_true if loaded == operand else if_false
            case 0x45:
                at += if_true if loaded & operand else if_false
            case 0x06:
                return operand


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES.keys())
def test_what_is_not_listed_is_refused(machine: sandbox.Machine) -> None:
    allowed = set(machine.allowed.values())
    conditional = {*machine.signalling, machine.fcntl, machine.mmap}
    for number in range(600):
        if number not in conditional:
            assert verdict(machine, number) == (ALLOW if number in allowed else EPERM), number
    assert verdict(machine, 0x40000000 + min(allowed)) == EPERM  # the second table of x86_64


def test_every_processor_allows_the_same_calls_but_one_that_only_the_oldest_has() -> None:
    assert set(sandbox.MACHINES["x86_64"].allowed) == {*sandbox.MACHINES["aarch64"].allowed, "time"}


LOCK_AND_OPEN = """
import ctypes, os, platform, threading
from imagefeatures import sandbox

opened, locked = set(), threading.Event()

def tries():
    locked.wait()
    try:
        os.open("/", os.O_RDONLY)
        opened.add(True)
    except PermissionError:
        opened.add(False)

thread = threading.Thread(target=tries)
thread.start()
status = os.open("/proc/self/status", os.O_RDONLY)
number, kill = sandbox.MACHINES[platform.machine()].seccomp, ctypes.byref(ctypes.c_uint(1 << 31))
asked = ctypes.CDLL(None).syscall(number, 2, 0, kill)
said = sandbox.lock()
locked.set()
thread.join()
tries()
privileges = b"NoNewPrivs:\\t1" in os.read(status, 1 << 14)
os.write(1, f"{said} {asked == 0} {opened} {privileges}".encode())
"""  # whether the filters of the kernel may be used is asked with SECCOMP_GET_ACTION_AVAIL


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in sandbox.MACHINES, reason="it has no filter")
def test_a_process_that_has_locked_itself_opens_nothing_in_any_thread_and_gets_no_privileges() -> None:
    told = subprocess.run([sys.executable, "-c", LOCK_AND_OPEN], capture_output=True, text=True, check=True).stdout
    assert told in ("True True {False} True", "False False {True} True")


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES.keys())
def test_a_process_may_signal_itself_and_no_other(machine: sandbox.Machine) -> None:
    for number in machine.signalling:
        assert verdict(machine, number, PID, 9) == ALLOW
        for other in (1, PID + 1, 0, 2**32 - 1, 2**32 - PID):
            assert verdict(machine, number, other, 9) == EPERM


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES.keys())
def test_a_descriptor_may_be_duplicated_and_not_made_to_signal(machine: sandbox.Machine) -> None:
    assert verdict(machine, machine.fcntl, 3, 1030) == ALLOW
    for command in (0, 4, 8, 10, 15, 1024, 1033):  # F_DUPFD, F_SETFL, F_SETOWN, F_SETSIG, F_SETOWN_EX, leases, seals
        assert verdict(machine, machine.fcntl, 3, command) == EPERM


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES.keys())
def test_memory_is_given_where_the_limit_counts_it(machine: sandbox.Machine) -> None:
    private, shared, validated, anonymous, stack, grows_down = 0x02, 0x01, 0x03, 0x20, 0x20000, 0x100
    for flags in (private | anonymous, private | anonymous | stack, private, shared):
        assert verdict(machine, machine.mmap, 0, 2**30, 3, flags) == ALLOW, flags
    for flags in (shared | anonymous, validated | anonymous, private | anonymous | grows_down, private | grows_down):
        assert verdict(machine, machine.mmap, 0, 2**30, 3, flags) == EPERM, flags


@pytest.mark.parametrize("machine", sandbox.MACHINES.values(), ids=sandbox.MACHINES.keys())
def test_calls_of_another_architecture_end_the_process(machine: sandbox.Machine) -> None:
    assert verdict(machine, 1, audit=0x40000003) == KILL


@pytest.mark.parametrize("name", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(name: str) -> None:
    if not HEADERS[name].is_file():
        pytest.skip("the kernel's headers are not installed here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", HEADERS[name].read_text(), re.MULTILINE)
    numbers = {call: int(number) for call, number in found}
    machine = sandbox.MACHINES[name]
    named = machine.allowed | dict(zip(("kill", "tgkill"), machine.signalling, strict=True))
    named |= {"seccomp": machine.seccomp, "fcntl": machine.fcntl, "mmap": machine.mmap}
    assert {call: numbers[call] for call in named} == named


@pytest.mark.parametrize(("name", "of_elf"), [("x86_64", 62), ("aarch64", 183)])
def test_the_architecture_is_that_of_its_programs_of_64_bits_and_little_endian(name: str, of_elf: int) -> None:
    assert sandbox.MACHINES[name].audit == of_elf | 1 << 31 | 1 << 30


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [(sys, "platform", "darwin"), (platform, "machine", lambda: "riscv64"), (sys, "maxsize", 2**31 - 1)],
)
def test_where_there_is_no_filter_nothing_is_locked(
    of: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **options: object) -> None:
        raise AssertionError("it would lock this process")

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(ctypes, "CDLL", never)
    monkeypatch.setattr(of, name, value)
    assert sandbox.lock() is False
