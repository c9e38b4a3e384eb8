"""The files of a user's model: read from the store within bounds, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch, Rejected
from imagefeatures.models.spec import Format

MOST_BYTES = 1 << 30
"""The largest model: all files are held in memory once."""

MOST_FILES = 1000
"""The most files of a SavedModel: it has a handful."""


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, by names of our own for a single file, and by their paths inside a SavedModel's folder.

    uri: where they come from, for messages. format: of the files.
    """

    uri: str
    format: Format
    files: Mapping[str, bytes]

    @property
    def main(self) -> str:
        """The path that a library opens, inside the folder of `write`: a file, or "." for the folder itself."""
        return "." if self.format == "savedmodel" else next(iter(self.files))

    @property
    def sha256(self) -> str:
        """Of the file's bytes. Of several files: of the lines that sha256sum prints of them, sorted by path."""
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        if len(digests) == 1 and self.format != "savedmodel":
            return next(iter(digests.values()))
        lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(map(len, self.files.values()))

    def write(self, folder: Path) -> None:
        """Write the files into a new folder."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def read(uri: str, format: Format, sha256: str | None = None) -> ModelFiles:
    """Read a model's files. Raises ModelMismatch when there are none, too many or others than sha256 says.

    Raises StoreRefused or StoreError as `imagefeatures.storage`.
    """
    try:
        files = ModelFiles(uri, format, dict(_files(uri, format)))
    except storage.ObjectMissing as missing:
        raise ModelMismatch(f"model: {uri}: there is no {missing}") from None
    except Rejected as rejected:
        raise ModelMismatch(f"model: {uri}: {rejected.detail}") from None
    if sha256 and files.sha256 != sha256:
        raise ModelMismatch(f"model: MODEL_MISMATCH: {uri} has SHA-256 {files.sha256}, and {sha256} is expected")
    return files


def _files(uri: str, format: Format) -> Iterator[tuple[str, bytes]]:
    if format == "savedmodel":
        yield from _folder(uri)
        return
    yield f"model.{'xml' if format == 'openvino' else format}", _read(uri)
    if format == "openvino":
        yield "model.bin", _read(uri[: -len(".xml")] + ".bin")


def _folder(uri: str) -> Iterator[tuple[str, bytes]]:
    room = MOST_BYTES
    for number, stored in enumerate(storage.list_objects(uri), 1):
        name = stored.uri[len(uri) :]
        if number > MOST_FILES:
            raise ModelMismatch(f"model: {uri} has more than {MOST_FILES} files; a SavedModel has a handful")
        if {"..", "."} & set(PurePosixPath(name).parts) or name != str(PurePosixPath(name)) or name.startswith("/"):
            raise ModelMismatch(f"model: {stored.uri} is no path that a SavedModel has")
        data = _read(stored.uri, room)
        room -= len(data)
        yield name, data
    if room == MOST_BYTES:
        raise storage.ObjectMissing(uri)


def _read(uri: str, most: int = MOST_BYTES) -> bytes:
    if (size := storage.stat(uri).size) > most:
        raise ModelMismatch(f"model: {uri} has {size} bytes; a model may have {MOST_BYTES}")
    return storage.read_part(uri, 0, size)  # no more, should it have grown
