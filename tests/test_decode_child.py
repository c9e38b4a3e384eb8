"""An image that takes its decoder over: what it can reach. See tests/support/takeover.py.

Where the platform has no filter of system calls, the attempts on files and connections are skipped.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import batches, decode_process, images, isolation, sandbox
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from support import fuzz_images, takeover
from support.photos import jpeg
from support.shared import PREPROCESSING
from support.takeover import blob

GOOD = jpeg(1)
CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-store",
    "IMAGEFEATURES_CATALOG": "postgresql://canary-catalog",
    "AIRFLOW__CORE__FERNET_KEY": "canary-airflow",
    "_SPARK_AUTH_SECRET": "canary-spark",
    "PYTHONPATH": "canary-path",
}


def can_be_confined() -> bool:
    code = "from imagefeatures import sandbox; raise SystemExit(not sandbox.lock())"
    return subprocess.run([sys.executable, "-c", code]).returncode == 0


confined = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in sandbox.MACHINES or not can_be_confined(),
    reason="this platform has no filter of system calls for decode processes",
)


@pytest.fixture(scope="module")
def taken() -> Iterator[isolation.Isolated]:
    """A decode process with a hole. It is started while its parent's environment holds secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CANARIES.items():
            patch.setenv(name, value)
        process = isolation.Isolated(takeover.inspect)
        process.run([GOOD], Limits())
    yield process
    process.stop()


def said(process: isolation.Isolated, code: str) -> str:
    """What the code says inside the decode process."""
    (record,) = process.run([blob(code)], Limits()).records
    why = isolation.rejection(record)
    assert why.reason == "CORRUPT", why
    return why.detail


def test_the_environment_holds_what_python_needs_and_nothing_else(taken: isolation.Isolated) -> None:
    names = set(said(taken, "say(*[' '.join(os.environ)])").split())
    assert names <= {*decode_process.INHERITED, "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    pid = int(taken.run([GOOD], Limits()).pid[0])
    if Path("/proc/self/environ").exists():
        assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors can be listed on Linux only")
def test_the_only_descriptors_are_its_connection_and_the_batchs_memory(
    taken: isolation.Isolated, tmp_path: Path
) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        process = isolation.Isolated(takeover.inspect)
        pid = int(process.run([GOOD], Limits()).pid[0])
        links = sorted(str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
        process.stop()
    assert links[:3] == ["/dev/null"] * 3
    assert [re.sub(r"\[\d+\]| .*", "", link) for link in links[3:]] == ["/memfd:imagefeatures"] * 4 + ["socket:"]


@confined
def test_every_thread_is_behind_the_filter(taken: isolation.Isolated) -> None:
    pid = int(taken.run([GOOD], Limits()).pid[0])
    for thread in Path(f"/proc/{pid}/task").iterdir():  # an allocator has one of its own
        status = (thread / "status").read_text()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)


TRIES = {
    "its parent's environment": "open(f'/proc/{main[\"parent\"]}/environ', 'rb').read()",
    "its parent's memory": "open(f'/proc/{main[\"parent\"]}/mem', 'rb').read(1)",
    "its parent's descriptors": "os.listdir(f'/proc/{main[\"parent\"]}/fd')",
    "its own environment as it was started": "open('/proc/self/environ', 'rb').read()",
    "a file": "open('/etc/passwd').read()",
    "a file by openat": "os.open('passwd', os.O_RDONLY, dir_fd=3)",
    "whether a file exists": "os.stat('/etc/passwd')",
    "a folder": "os.listdir('/')",
    "a link": "os.readlink('/proc/self/exe')",
    "a new file": "open(FILE, 'w')",
    "a new file by raw flags": "os.open(FILE, os.O_CREAT | os.O_WRONLY)",
    "a new file without a name": "os.open('/tmp', os.O_TMPFILE | os.O_WRONLY)",
    "a new folder": "os.mkdir(FILE)",
    "a new link": "os.symlink('/etc/passwd', FILE)",
    "a new pipe": "os.mkfifo(FILE)",
    "to rename": "os.rename('/etc/hostname', FILE)",
    "to remove": "os.unlink(FILE)",
    "to change a mode": "os.chmod('/etc/passwd', 0o666)",
    "memory as a file": "os.memfd_create('x')",
    "the batch's memory cut short": "os.ftruncate(loop['batch'].buffer.descriptors[0], 0)",
    "a TCP socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "a UDP socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "an IPv6 socket": "socket.socket(socket.AF_INET6)",
    "a Unix socket": "socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "socket.socketpair()",
    "to connect its own socket": "main['connection'].connect('/run/x')",
    "to send to an address": "main['connection'].sendto(b'', '/run/x')",
    "a fork": "os.fork()",
    "a program": "os.execv('/bin/true', ['true'])",
    "a spawned program": "os.posix_spawn('/bin/true', ['true'], {})",
    "its parent's end": "os.kill(main['parent'], signal.SIGKILL)",
    "a signal to its group": "os.kill(0, signal.SIGTERM)",
    "a signal to all": "os.kill(-1, signal.SIGTERM)",
    "whether a process lives": "os.kill(1, 0)",
    "a signal by way of its connection": "sys.modules['fcntl'].fcntl(main['connection'], 8, main['parent'])",
    "a signal by way of ioctl": "sys.modules['fcntl'].ioctl(main['connection'], 0x8902, struct.pack('i', 1))",
    "more memory than it may have": "sys.modules['resource'].setrlimit(4, (-1, -1))",
    "a limit of its parent": "sys.modules['resource'].prlimit(main['parent'], 7, (1, 1))",
    "another user": "os.setuid(1)",
    "another root": "os.chroot('/tmp')",
    "a namespace": "raw(272, 0x10000000)",
    "to trace its parent": "raw(101, 16, main['parent'])",
    "its parent's memory by a call": "raw(310, main['parent'], 0, 0, 0, 0, 0)",
    "its parent's descriptors by a call": "raw(434, main['parent'], 0)",
    "a ring of calls": "raw(425, 8, 0)",
    "a program in the kernel": "raw(321, 0, 0, 0)",
    "to be dumpable": "raw(157, 4, 1)",
    "memory that its limit does not count": "sys.modules['mmap'].mmap(-1, 2**30)",
    "a stack that its limit does not count": "raw(9, 0, 2**30, 3, 0x122, -1, 0)",
    "its own stack made larger": "raw(25, 0, 4096, 2**30, 1)",
    "openat2": "raw(437, -100, b'/etc/passwd', 0, 0)",
    "clone3": "raw(435, 0, 0)",
    "keys of the kernel": "raw(250, 0, -3, 1)",
}
"""What code in a decode process may try: an expression that must fail with EPERM."""

RAW = """
def raw(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), *arguments) == -1:
        raise OSError(ctypes.get_errno(), 'refused')
"""


@confined
@pytest.mark.parametrize("what", TRIES)
def test_nothing_outside_can_be_reached(what: str, taken: isolation.Isolated, tmp_path: Path) -> None:
    if "raw(" in TRIES[what] and platform.machine() != "x86_64":
        pytest.skip("the number is that of x86_64")
    code = f"{RAW}\nFILE = {str(tmp_path / 'made')!r}\ntry:\n    {TRIES[what]}\n    say('done')\n"
    code += "except OSError as error:\n    say(errno.errorcode[error.errno])\n"
    code += "except ValueError as error:\n    say('EPERM' if 'not allowed' in str(error) else error)\n"
    assert said(taken, code) == "EPERM"
    assert not (tmp_path / "made").exists()


@confined
def test_no_thread_can_be_started(taken: isolation.Isolated) -> None:
    code = "import _thread\ntry:\n    _thread.start_new_thread(print, ())\n    say('done')\n"
    assert said(taken, code + "except RuntimeError as error:\n    say(error)\n") == "can't start new thread"


def test_what_it_prints_comes_nowhere(taken: isolation.Isolated, capfd: pytest.CaptureFixture[str]) -> None:
    process = isolation.Isolated(takeover.inspect)
    process.run([blob("os.write(1, b'forged line'); os.write(2, b'forged line')")], Limits())
    process.stop()
    assert capfd.readouterr() == ("", "")


def verdict(work: object, data: bytes, *more: object) -> tuple[str, ...] | tuple[int, int, str]:
    try:
        seen = work(data, fuzz_images.LIMITS, *more)
    except Rejected as why:
        return (str(why.reason), batches.printable(why.detail))
    return (seen.width, seen.height, seen.mode)


def test_confinement_changes_no_verdict_and_no_pixel() -> None:
    """Every format in many modes, and mutations of them: nothing that an image needs is missing behind the filter."""
    blobs = [data for _, data in fuzz_images.originals()]
    blobs += [fuzz_images.mutated(18, number)[1] for number in range(400)]
    for work, more in ((images.inspect, ()), (images.decode, (PREPROCESSING,))):
        process = isolation.Isolated(work)
        batch = process.run(blobs, fuzz_images.LIMITS, *more)
        for index, data in enumerate(blobs):
            record, expected = batch.records[index], verdict(work, data, *more)
            if record["state"] == batches.REJECTED:
                why = isolation.rejection(record)
                assert (why.reason, why.detail) == expected, index
            else:
                assert (record["width"], record["height"], record["mode"].decode()) == expected, index
                if more:
                    np.testing.assert_array_equal(batch.pixels[index], work(data, fuzz_images.LIMITS, *more).pixels)
        process.stop()
    assert (batch.records["state"] == batches.DONE).sum() > 30


def test_it_is_said_once_where_the_platform_has_no_filter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    locked = "from imagefeatures import decode_child; "
    assert locked in decode_process.PROGRAM
    program = decode_process.PROGRAM.replace(locked, f"{locked}decode_child.sandbox.lock = lambda: False; ")
    monkeypatch.setattr(decode_process, "PROGRAM", program)
    decode_process.warn_that_it_is_not_confined.cache_clear()
    for _ in range(2):
        process = isolation.Isolated(images.inspect)
        assert list(process.run([GOOD], Limits()).records["state"]) == [batches.DONE]
        process.stop()
    assert [record.message for record in caplog.records if "not confined" in record.message] == [
        "decode processes are not confined here: the platform has no system call filter (seccomp) for them. "
        "They hold no keys, but a decoder that an image has taken over could open files and connections"
    ]
