"""Disks of a test's own: small ones in memory, images of some, copied as a power cut leaves them, and their locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None,
    reason="only root may mount a disk of the test's own (with loop devices and mkfs.ext4)",
)


@contextlib.contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes, mounted on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def lock_as_on_nfs(patch: pytest.MonkeyPatch) -> None:
    """Let only a file that is open for writing be locked, as on NFS."""
    real = fcntl.flock

    def flock(file: Any, operation: int) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(file, operation)

    patch.setattr(fcntl, "flock", flock)


def lock_nothing(patch: pytest.MonkeyPatch, code: int = errno.ENOLCK) -> None:
    """Let no file be locked. code: what the file system says."""

    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    patch.setattr(fcntl, "flock", flock)


@contextlib.contextmanager
def images_folder(parent: Path) -> Iterator[Path]:
    """A folder for images of disks, removed with them. Not in memory: there are many of them."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def make_ext4(image: Path, size: int) -> Path:
    """An image of an empty ext4 disk as mkfs makes it by default: with a journal, and writing delayed."""
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    return image


@contextlib.contextmanager
def mounted(image: Path, folder: Path) -> Iterator[str]:
    """The image, mounted on a folder; its journal is replayed. Yields the name of its loop device."""
    folder.mkdir(parents=True, exist_ok=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        subprocess.run(["mount", "-t", "ext4", device, folder], check=True)
        try:
            yield Path(device).name
        finally:
            gc.collect()  # a catalog that nobody closed holds its SQLite file open
            subprocess.run(["umount", folder], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def copy_still(image: Path, device: str, target: Path) -> None:
    """Copy the image while nothing is written to it: what the disk holds at one moment. Who writes must be stopped."""
    statistics = Path(f"/sys/block/{device}/stat")
    while True:
        before = statistics.read_text().split()
        subprocess.run(["cp", "--sparse=always", image, target], check=True)  # from the page cache: milliseconds
        after = statistics.read_text().split()
        if before[4] == after[4] and before[8] == after[8] == "0":  # writes that are done, and requests in flight
            return
