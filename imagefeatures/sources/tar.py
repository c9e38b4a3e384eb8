"""Tar archives of images, named as WebDataset names them: `key.jpg`, and beside it `key.cls` or `key.json`."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.sources import passed_over, patterns, values
from imagefeatures.sources.containers import Container
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.sources.tar_members import Member, TarDamaged, Window, members
from imagefeatures.strict import FrozenModel

if TYPE_CHECKING:
    from imagefeatures.storage import StoredObject

IMAGES = (
    "*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.bmp", "*.tif", "*.tiff", "*.heic", "*.heif", "*.avif", "*.jp2",
)  # fmt: skip

BLOCK, BLOCK_OF_A_FILE = 256 << 10, 4 << 10
"""So many bytes are read for a header: those of small members come along, which is cheaper than a request for each."""

GAP, MOST_AT_ONCE = 64 << 10, 8 << 20
"""Members that are no further apart are read at once, up to so many bytes."""

MOST_LABEL = 64 << 10
"""The most bytes of a member with a label."""

MOST_OF_A_KEY = 1000
"""So many images of one key wait for a label that may come after them."""


class LabelMember(FrozenModel):
    """Where the label of each image is: `{member: cls}`, or a field of JSON: `{member: json, field: species}`."""

    member: str = Field(min_length=1)
    field: str | None = Field(None, min_length=1)


class Tar(Container):
    """Every image of a tar archive, or of those of a folder: `{kind: tar, uri: s3://b/{partition}/}`.

    An image's URI is the archive's, # and the member's name. Its key is the name up to the first dot after the folders.
    """

    kind: Literal["tar"]
    pattern: tuple[str, ...] = Field(IMAGES, min_length=1, description="Shell patterns of the members that are images")
    label: LabelMember | None = Field(None, description="The member beside each image that holds its label")

    endings: ClassVar[Sequence[str]] = ("*.tar",)
    holds_images: ClassVar[bool] = True

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("pattern")
    @classmethod
    def _patterns_mean_something(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(patterns.check, given))

    @property
    def gives_labels(self) -> bool:
        return self.label is not None

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        passed = PassedOver() if passed is None else passed
        for file in self.files(passed):
            if file.rejected:
                yield Item(file.uri, rejected=file.rejected)
            else:
                yield from self._items(file, passed)

    def fetch(self, items: Sequence[Item], most_bytes: int) -> Iterator[bytes | Rejected]:
        for file, neighbours in groupby(items, _file_of):
            wanted = list(neighbours)
            yield from self.unchanged(file, len(wanted), partial(self._read, file, wanted))

    def name_of(self, item: Item) -> str | None:
        if not item.locator:
            return super().name_of(item)
        return item.uri[_Place.of(item).length + 1 :].rpartition("/")[2]

    def path_of(self, item: Item) -> str:
        if not item.locator:
            return super().path_of(item)
        length = _Place.of(item).length
        member = posixpath.normpath(f"/{item.uri[length + 1 :]}").lstrip("/")  # `./` and `..` are no folders
        return f"{item.uri[:length].rpartition('/')[0]}/{member}"

    def _items(self, file: StoredObject, passed: PassedOver) -> Iterator[Item]:
        """The item of each image, and one for the archive where it is damaged, with the place."""
        from imagefeatures import storage
        from imagefeatures.storage.object_reader import ObjectReader

        block = BLOCK_OF_A_FILE if file.uri.startswith("file://") else BLOCK
        window = Window(ObjectReader(file.uri, file.size, self.access), file.size, block)
        why = None
        images: list[tuple[Member, str]] = []
        label: str | None = None
        current: str | None = None
        try:
            for member in members(window, file.size):
                if patterns.fits(member.name, patterns.DEFAULT_EXCLUDES):
                    passed.add(passed_over.DEFAULT_EXCLUDES, f"{file.uri}#{member.name}")
                    continue
                key, ending = split(member.name)
                if key != current:
                    yield from self._of_group(file, images, label)
                    current, label, images = key, None, []
                if patterns.fits(member.name, self.pattern, ignore_case=True):
                    images.append((member, key))
                    if not self.label or len(images) == MOST_OF_A_KEY:
                        yield from self._of_group(file, images, label)
                        images = []
                    continue
                passed.add(passed_over.PATTERN, f"{file.uri}#{member.name}")
                if self.label and ending == self.label.member and member.size <= MOST_LABEL:
                    window.seek(member.start)
                    label = _label(window.read(member.size), self.label.field)
        except TarDamaged as damage:
            why = self.damage(file, f"the archive is damaged at {damage}; what lies before is read")
        except storage.ObjectMissing:
            why = Rejected(Reason.NOT_FOUND, "it was listed, and gone when it was read")
        except (StoreError, StoreRefused) as error:
            why = self.lost(file, error)
        yield from self._of_group(file, images, label)
        if why:
            yield Item(file.uri, file.size, file.etag, rejected=why)

    def _of_group(self, file: StoredObject, images: list[tuple[Member, str]], label: str | None) -> Iterator[Item]:
        """The items of members with one key."""
        for member, key in images:
            uri, place = f"{file.uri}#{member.name}", _Place(file.size, len(file.uri), member.start)
            odd = Rejected(Reason.NOT_A_FILE, member.odd) if member.odd else None
            yield Item(uri, member.size, file.etag, label, key, str(place), rejected=odd)

    def _read(self, file: StoredObject, items: list[Item]) -> list[bytes | Rejected]:
        """The bytes of members of one archive, in their order. Raises StoreError, storage.ObjectMissing."""
        from imagefeatures import storage

        found: dict[int, bytes | Rejected] = {}
        for run in _runs(items):
            start = _Place.of(run[0]).start
            end = max(_Place.of(item).start + (item.size or 0) for item in run)
            data = storage.read_part(file.uri, start, end - start, self.access)
            for item in run:
                at = _Place.of(item).start - start
                part = data[at : at + (item.size or 0)]
                whole = len(part) == item.size
                found[start + at] = part if whole else Rejected(Reason.TRUNCATED, "its archive ends before it does")
        return [found[_Place.of(item).start] for item in items]


class _Place(NamedTuple):
    """Where an image is: `locator` of its item. size: of the archive. length: of its URI. start: of the bytes in it."""

    size: int
    length: int
    start: int

    @classmethod
    def of(cls, item: Item) -> _Place:
        return cls(*map(int, str(item.locator).split()))

    def __str__(self) -> str:
        return " ".join(map(str, self))


def split(name: str) -> tuple[str, str]:
    """The key of a member's name, and what it is of this key.

    >>> split("day/0001.seg.png"), split("0001.cls"), split("day.1/none")
    (('day/0001', 'seg.png'), ('0001', 'cls'), ('day.1/none', ''))
    """
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending


def _file_of(item: Item) -> StoredObject:
    from imagefeatures import storage

    place = _Place.of(item)
    return storage.StoredObject(item.uri[: place.length], place.size, item.etag or "")


def _runs(items: list[Item]) -> Iterator[list[Item]]:
    """The items in the order of the archive, in lists that are read at once."""
    run: list[Item] = []
    first = end = 0
    for item in sorted(items, key=lambda item: _Place.of(item).start):
        start, size = _Place.of(item).start, item.size or 0
        if run and (start - end > GAP or start + size - first > MOST_AT_ONCE):
            yield run
            run = []
        if not run:
            first = start
        run.append(item)
        end = start + size
    if run:
        yield run


def _label(data: bytes, field: str | None) -> str | None:
    """The label that a member holds; None where it holds none."""
    with contextlib.suppress(ValueError, RecursionError):
        text = data.decode("utf-8-sig")
        if field is None:
            return text.strip() or None
        value = values.json_of(text).get(field) if text.lstrip().startswith("{") else None
        return None if value is None else values.as_text(value)
    return None
