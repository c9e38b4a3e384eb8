"""The system calls that a process may still make once it has locked itself in: a seccomp filter of Linux.

A process that decodes images needs memory, its own descriptors and the time, and nothing else of the kernel. After
`lock` every other call fails with EPERM: no file is opened or created, no socket made, no process or thread started,
no other process signalled, traced or read. The filter holds for all threads, cannot be taken off again, and needs no
privilege.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>, <linux/fcntl.h>, <asm/mman.h>
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC
_KEEP_SPECULATION = 4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW: without it, kernels before 5.16 slow down all of the process
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data; those of three arguments follow
_FIRST_ARGUMENT, _SECOND_ARGUMENT, _FOURTH_ARGUMENT = 16, 24, 40
_F_DUPFD_CLOEXEC = 1030
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x01, 0x20, 0x100


@dataclass(frozen=True)
class Machine:
    """Numbers of system calls on one kind of processor. audit: AUDIT_ARCH_…; signalling: kill and tgkill."""

    audit: int
    seccomp: int
    allowed: dict[str, int]
    mmap: int
    signalling: tuple[int, int]
    fcntl: int


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        seccomp=317,
        allowed={
            "read": 0, "write": 1, "recvmsg": 47, "close": 3, "fstat": 5, "lseek": 8,
            "munmap": 11, "mprotect": 10, "madvise": 28, "brk": 12,
            "futex": 202, "sched_yield": 24, "getpid": 39, "gettid": 186, "getrusage": 98, "getrandom": 318,
            "clock_gettime": 228, "clock_getres": 229, "gettimeofday": 96, "time": 201,
            "nanosleep": 35, "clock_nanosleep": 230, "restart_syscall": 219,
            "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sigaltstack": 131,
            "exit": 60, "exit_group": 231,
        },
        mmap=9,
        signalling=(62, 234),
        fcntl=72,
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        seccomp=277,
        allowed={
            "read": 63, "write": 64, "recvmsg": 212, "close": 57, "fstat": 80, "lseek": 62,
            "munmap": 215, "mprotect": 226, "madvise": 233, "brk": 214,
            "futex": 98, "sched_yield": 124, "getpid": 172, "gettid": 178, "getrusage": 165, "getrandom": 278,
            "clock_gettime": 113, "clock_getres": 114, "gettimeofday": 169,
            "nanosleep": 101, "clock_nanosleep": 115, "restart_syscall": 128,
            "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sigaltstack": 132,
            "exit": 93, "exit_group": 94,
        },
        mmap=222,
        signalling=(129, 131),
        fcntl=25,
    ),
}  # fmt: skip
"""The processors for which there is a filter, by the names that `platform.machine` gives them."""


def lock() -> bool:
    """Give up every system call that decoding does not need, for good.

    Returns False where the platform has no such filter: another system than Linux, another processor, a kernel or a
    container that refuses it.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.maxsize < 2**32:
        return False
    program = filter_program(machine, os.getpid())
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    libc = ctypes.CDLL(None)
    number = ctypes.c_long(machine.seccomp)
    flags = ctypes.c_long(_ALL_THREADS | _KEEP_SPECULATION)
    return bool(
        libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3) == 0
        and libc.syscall(number, ctypes.c_long(_SECCOMP_SET_MODE_FILTER), flags, header) == 0
    )


def filter_program(machine: Machine, pid: int) -> bytes:
    """The filter as the kernel's instructions, eight bytes each. pid: the only process that may be signalled."""
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        # Calls by the numbers of another architecture, as 32-bit programs make them on x86_64.
        _instruction(_JUMP_IF_EQUAL, machine.audit, if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    for number in machine.allowed.values():
        program += [_instruction(_JUMP_IF_EQUAL, number, if_false=1), _instruction(_RETURN, _ALLOW)]
    program += _if_memory_is_counted(machine.mmap)
    for number in machine.signalling:  # a crash of the C library is a signal of the process to itself
        program += _if_argument_is(number, _FIRST_ARGUMENT, pid)
    # Python's mmap duplicates its descriptor. Other commands of fcntl could make the kernel signal other processes.
    program += _if_argument_is(machine.fcntl, _SECOND_ARGUMENT, _F_DUPFD_CLOEXEC)
    program.append(_instruction(_RETURN, _REFUSE))
    return b"".join(program)


def _if_argument_is(number: int, argument: int, value: int) -> list[bytes]:
    return [
        _instruction(_JUMP_IF_EQUAL, number, if_false=4),
        _instruction(_LOAD, argument),
        _instruction(_JUMP_IF_EQUAL, value, if_false=1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _REFUSE),
    ]


def _if_memory_is_counted(mmap: int) -> list[bytes]:
    """No memory that RLIMIT_DATA leaves out: shared memory without a file, and stacks.

    For the same reason mremap is not allowed: it would make the process's own stack as large as it likes.
    """
    return [
        _instruction(_JUMP_IF_EQUAL, mmap, if_false=6),
        _instruction(_LOAD, _FOURTH_ARGUMENT),
        _instruction(_JUMP_IF_SET, _MAP_GROWSDOWN, if_true=3),
        _instruction(_JUMP_IF_SET, _MAP_ANONYMOUS, if_false=1),
        _instruction(_JUMP_IF_SET, _MAP_SHARED, if_true=1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _REFUSE),
    ]


def _instruction(code: int, operand: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)  # struct sock_filter
