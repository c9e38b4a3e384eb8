"""Files that name or hold many images: what the sources of such files have in common."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason, printable
from imagefeatures.sources.folder import Folder
from imagefeatures.sources.item import Item
from imagefeatures.sources.located import Located
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.strict import FrozenModel

if TYPE_CHECKING:
    from imagefeatures.storage import StoredObject

OF_WRITERS = ("_temporary/", ".spark-staging-*/", "_delta_log/")
"""Folders in which Spark and Delta Lake keep what is no part of a table: a job that broke off leaves rows there."""


class LabelColumn(FrozenModel):
    """Where the label of each row is: `label: {column: species}`."""

    column: str = Field(min_length=1)


class Container(Located):
    """One file, or every file of a folder whose name fits `endings`."""

    endings: ClassVar[Sequence[str]]
    """Patterns of the files that are read where the URI is a folder."""

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        raise NotImplementedError

    def check(self) -> None:
        next(self.files(), None)

    def everything(self) -> Iterator[Item]:
        return self.items()

    def files(self, passed: PassedOver | None = None) -> Iterator[StoredObject]:
        """The file of the URI; where there is none, the files of the folder. Raises StoreRefused or StoreError."""
        from imagefeatures import storage

        if not self.uri.endswith("/"):
            try:
                yield storage.stat(self.uri, self.access)
                return
            except storage.ObjectMissing:
                pass
            except Rejected as why:
                if why.reason != Reason.NOT_A_FILE:
                    raise StoreRefused(f"{self.uri}: {why.detail}") from None
        folder = Folder(
            uri=self.uri,
            pattern=tuple(self.endings),
            exclude=OF_WRITERS,
            ignore_case=True,
            anonymous=self.anonymous,
            requester_pays=self.requester_pays,
        )
        for item in folder.items(passed):
            yield storage.StoredObject(item.uri, item.size or 0, item.etag or "", item.rejected)

    def unchanged(
        self, file: StoredObject, count: int, read: Callable[[], list[bytes | Rejected]]
    ) -> list[bytes | Rejected]:
        """What `read` gives of a file, if it is still the listed version after that; else why not, `count` times.

        Raises StoreError or StoreRefused where the store gives no other file either.
        """
        from imagefeatures import storage

        try:
            found = read()
            now = storage.stat(file.uri, self.access)
        except storage.ObjectMissing:
            return [Rejected(Reason.NOT_FOUND, "its file was listed, and gone when it was read")] * count
        except (StoreError, StoreRefused) as error:
            return [self.lost(file, error)] * count
        except Rejected as why:
            return [why] * count
        return found if now.etag == file.etag else [_changed(file, now)] * count

    def damage(self, file: StoredObject, detail: str) -> Rejected:
        """That a file is damaged, and how; or that it is another version by now than the listed one."""
        from imagefeatures import storage

        with contextlib.suppress(storage.ObjectMissing, Rejected, StoreError, StoreRefused):
            now = storage.stat(file.uri, self.access)
            if now.etag != file.etag:
                return _changed(file, now)
        return Rejected(Reason.CORRUPT, detail)

    def lost(self, file: StoredObject, error: StoreError | StoreRefused) -> Rejected:
        """Why a file gives nothing, where the store gives others of the source. Raises the error where it does not.

        A refusal of the one file that the source is raises too: somebody named it, and has to know at once.
        """
        from imagefeatures import storage

        if isinstance(error, StoreRefused) and file.uri == self.uri:
            raise error
        folder = self.uri if file.uri != self.uri else f"{file.uri.rpartition('/')[0]}/"
        if not storage.gives_others(file.uri, folder, self.access):
            raise error
        return Rejected(Reason.NOT_READABLE, f"{printable(str(error))}, while the store gives other objects")

    def nothing_there(self) -> str:
        path = self.uri.removeprefix("file://")
        if path != self.uri and not os.path.lexists(path):
            return super().nothing_there()
        if next(self.files(), None):
            return f"{self} names no image"
        return f"there is no file {self}, and none below it that fits {list(self.endings)}"


def readable(files: Iterator[StoredObject]) -> Iterator[StoredObject]:
    """The files, of which each must be readable: without one of them a run would lose images. Raises StoreRefused."""
    for file in files:
        if file.rejected:
            raise StoreRefused(f"{file.uri}: {file.rejected.detail}")
        yield file


def _changed(file: StoredObject, now: StoredObject) -> Rejected:
    return Rejected(Reason.CHANGED_DURING_RUN, f"its file had ETag {file.etag}, and was read with {now.etag}")


def first_line(error: Exception) -> str:
    """What a library says of a file, in one line."""
    return printable((str(error).splitlines() or [type(error).__name__])[0])
