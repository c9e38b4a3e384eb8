"""The members of a tar archive, by one pass over its headers. The archive may be damaged, or written to do harm."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from imagefeatures.storage.object_reader import Seekable

MOST_HEADER = 1 << 20
"""The most bytes of one header with its long name and attributes."""

MOST_ZEROS = 64 << 20
"""So many bytes after an end mark are searched for another archive that begins there."""

_NOT_READ = (tarfile.TarError, ValueError, OverflowError, RecursionError, IndexError)
"""What tarfile raises for a header. IndexError: where the archive ends in the map of a sparse member."""


class TarDamaged(Exception):
    """The archive cannot be followed from here on. The text says where and why."""


@dataclass(frozen=True)
class Member:
    """A member. start: of its bytes in the archive. odd: why it is no plain file, if it is none."""

    name: str
    start: int
    size: int
    odd: str | None = None


class Window(Seekable):
    """A file read in blocks: headers that are near each other cost one read. size: of the file, in bytes.

    Refuses to hand out more than MOST_HEADER bytes at once: a header may claim any length.
    """

    def __init__(self, file: io.RawIOBase, size: int, block: int) -> None:
        super().__init__(size)
        self._file, self._block = file, block
        self._start, self._held = 0, b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER:
            raise TarDamaged(f"byte {self._position:,}: a header of {size:,} bytes")
        if not self._start <= self._position <= self._start + len(self._held) - size:
            self._file.seek(self._position)
            self._start, self._held = self._position, self._file.read(max(size, self._block)) or b""
        at = self._position - self._start
        data = self._held[at : at + size]
        self._position += len(data)
        return data


def members(file: Window, size: int) -> Iterator[Member]:
    """Every member but folders, in the archive's order. size: of the archive, in bytes.

    An end mark ends the archive if nothing but zeros follows. Where another archive follows (`cat a.tar b.tar`), its
    members are read too. Raises TarDamaged at the first header that cannot be read, at bytes that are not there, where
    the end mark lacks, or at what follows it and is no archive.
    """
    archive = _opened(file)
    offset, end = 0, None
    while True:
        file.seek(offset)
        try:
            found = tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            end, offset = offset, _after_zeros(file, offset, size)
            if offset >= size:
                return
            archive.pax_headers = {}  # those of the archive before are not of this one
            continue
        except _NOT_READ as error:
            what = "its end is missing" if offset >= size else str(error) or type(error).__name__
            if end is not None:
                what = f"{size - offset:,} bytes after the end mark (byte {end:,}) are no archive"
            raise TarDamaged(f"byte {offset:,}: {what}") from None
        end = None
        # The size of a sparse member is that of the file, of which an archive holds only a part.
        start, length = found.offset_data, found.size if found.isreg() and not found.issparse() else 0
        after = max(archive.offset, start)
        if length < 0 or after <= offset or start + length > size:
            raise TarDamaged(f"byte {offset:,}: a member of {length:,} bytes, of which {size - start:,} are there")
        if not found.isdir():
            yield Member(found.name, start, length, _odd(found))
        offset = after


def _after_zeros(file: Window, offset: int, size: int) -> int:
    """Where the first block with a byte that is not zero begins, from a block of zeros on; `size` where there is none.

    Raises TarDamaged where no more than zeros are found within MOST_ZEROS, and the archive goes on.
    """
    end = min(size, offset + MOST_ZEROS)
    for start in range(offset, end, MOST_HEADER):
        file.seek(start)
        data = file.read(min(MOST_HEADER, end - start))
        if rest := len(data.lstrip(b"\0")):
            return start + (len(data) - rest) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
    if end < size:
        raise TarDamaged(
            f"byte {end:,}: {size - end:,} bytes are not read, after {end - offset:,} zeros from its end mark on"
        )
    return size


def _opened(file: Window) -> tarfile.TarFile:
    try:
        return tarfile.TarFile(fileobj=file, mode="r", encoding="utf-8", errors="surrogateescape")
    except _NOT_READ as error:
        raise TarDamaged(f"byte 0: it is no tar ({error})") from None


def _odd(found: tarfile.TarInfo) -> str | None:
    if found.issparse():
        return "it is a sparse member of an archive"
    if found.issym() or found.islnk():
        return "it is a link in an archive"
    return None if found.isreg() else "it is a device or a FIFO in an archive"
