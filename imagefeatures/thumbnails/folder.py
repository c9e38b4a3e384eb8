"""The folder of kept thumbnails: at most so many bytes; those that were looked at longest ago go first."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)

MOST_BYTES = 256 << 20
"""The folder's size: some 30,000 thumbnails of photos."""

WRITES = 200
"""After so many writes the folder is brought back to its size: it holds no more than these beyond it."""

NAME = ".jpg"


class ThumbnailFolder:
    """Thumbnails by the dataset and the SHA-256 of the original. Threads and processes may share the folder.

    An empty file stands for an original that makes none: it is not decoded again at every look.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._lock = threading.Lock()
        self._left = 0  # the first write looks at what earlier processes have left

    def read(self, dataset: str, image_id: str) -> bytes | None:
        """The thumbnail; empty where the original makes none; None where it is not known."""
        path = self._path(dataset, image_id)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def keep(self, dataset: str, image_id: str, thumbnail: bytes) -> None:
        """Write a thumbnail, whole or not at all. A folder that cannot be written is logged: nothing is kept then."""
        path = self._path(dataset, image_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as draft:
                draft.write(thumbnail)
            Path(draft.name).replace(path)
            with self._lock:
                self._left -= 1
                if self._left < 0:
                    self._left = WRITES
                    self._remove_oldest()
        except OSError as error:
            log.warning("thumbnails are not kept in %s: %s", self._folder, error)

    def remove(self, image_ids: Iterable[str]) -> int:
        """Delete the thumbnails of these images, of every dataset. Returns how many there were."""
        found = [path for one in image_ids for path in self._folder.glob(f"*/{one[:2]}/{one}{NAME}")]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def older_than(self, moment: float) -> dict[Path, int]:
        """The thumbnails that nobody has looked at since, with their bytes. moment: in seconds since 1970."""
        return {path: size for looked_at, size, path in self._found() if looked_at < moment}

    def _path(self, dataset: str, image_id: str) -> Path:
        return self._folder / dataset / image_id[:2] / f"{image_id}{NAME}"

    def _found(self) -> list[tuple[float, int, Path]]:
        """When each file was looked at last, its bytes, and itself."""
        found = []
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                if path.is_file():
                    status = path.stat()
                    found.append((status.st_mtime, status.st_size, path))
        return found

    def _remove_oldest(self) -> None:
        found = self._found()
        whole = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if whole <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            whole -= size
