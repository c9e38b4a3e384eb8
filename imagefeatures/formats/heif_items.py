"""The items of a HEIF file: which pictures and which metadata it holds, where their bytes are, what describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from imagefeatures.formats.isobmff import Box, Reader, boxes

_TABLE_BYTES = 2**20  # a thousand items need a tenth of it
_MOST_PROPERTIES = 0x7FFF  # more cannot be named

METADATA = {b"Exif", b"mime", b"uri "}
"""The kinds of items that describe a picture."""


@dataclass
class Item:
    """kind: of its bytes, such as hvc1. kind_at: where that stands. extents: (position, length) of its bytes.

    properties: what describes it, in the order in which it is to be applied, and whether a reader must understand it.
    """

    kind: bytes = b""
    kind_at: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[tuple[Box, bool]] = field(default_factory=list)

    def property(self, kind: bytes) -> Box | None:
        """The first property of a kind."""
        return next((box for box, _ in self.properties if box.kind == kind), None)


@dataclass
class Items:
    """primary: number of the item that stands for the file. references: (kind, from, to) of items to items."""

    primary: int = 0
    by_number: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)

    def made_of(self, number: int) -> list[Item]:
        """The items that a derived item, such as a grid, is put together from."""
        parts = [to for kind, source, to in self.references if kind == b"dimg" and source == number]
        return [self.by_number[part] for part in (parts[0] if parts else []) if part in self.by_number]

    def auxiliaries(self, number: int) -> list[Item]:
        """The items that are for this one, such as its alpha channel."""
        sources = [source for kind, source, to in self.references if kind == b"auxl" and number in to]
        return [self.by_number[source] for source in sources if source in self.by_number]


def read_items(data: bytes, meta: Box) -> Items:
    """The items of a box `meta`, which must be whole. Raises ValueError when its tables contradict themselves."""
    items = Items()
    inside = {box.kind: box for box in boxes(data, meta.content + 4, meta.end)}
    if pitm := inside.get(b"pitm"):
        version, reader = _full(data, pitm)
        items.primary = reader.number(4 if version else 2)
    if iinf := inside.get(b"iinf"):
        _read_kinds(data, iinf, items)
    if iloc := inside.get(b"iloc"):
        _read_extents(data, iloc, items, inside.get(b"idat"))
    if iprp := inside.get(b"iprp"):
        _read_properties(data, iprp, items)
    if iref := inside.get(b"iref"):
        version, reader = _full(data, iref)
        width = 4 if version else 2
        for box in boxes(data, reader.position, iref.end):
            inner = Reader(data, box.content, box.end)
            source, count = inner.number(width), inner.number(2)
            items.references.append((box.kind, source, [inner.number(width) for _ in range(count)]))
    return items


def bytes_of(data: bytes, item: Item) -> bytes:
    """The bytes of an item, as far as the data holds them."""
    return b"".join(data[start : start + length] for start, length in item.extents)


def _full(data: bytes, box: Box) -> tuple[int, Reader]:
    """The version of a box that has one, and a reader of what stands behind version and flags."""
    if box.end - box.start > _TABLE_BYTES:
        raise ValueError(f"a table has {box.end - box.start:,} bytes, of at most {_TABLE_BYTES:,}")
    reader = Reader(data, box.content, box.end)
    version = reader.number(1)
    reader.take(3)
    return version, reader


def _read_kinds(data: bytes, iinf: Box, items: Items) -> None:
    version, reader = _full(data, iinf)
    reader.take(4 if version else 2)  # how many there are
    for box in boxes(data, reader.position, iinf.end):
        if box.kind != b"infe":
            continue
        version, entry = _full(data, box)
        if version >= 2:  # before, an item had no kind
            number = entry.number(2 if version == 2 else 4)
            entry.take(2)
            kind_at = entry.position
            items.by_number[number] = Item(entry.take(4), kind_at)


def _read_extents(data: bytes, iloc: Box, items: Items, idat: Box | None) -> None:
    version, reader = _full(data, iloc)
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(reader.number(4 if version == 2 else 2)):
        item = items.by_number.setdefault(reader.number(4 if version == 2 else 2), Item())
        method = reader.number(2) & 15 if version else 0
        reader.take(2)
        base = reader.number(base_size)
        count = reader.number(2)
        if count > 1 and not offset_size + length_size:
            raise ValueError("an item has several parts at one place")
        for _ in range(count):
            reader.take(index_size if version else 0)
            start, length = base + reader.number(offset_size), reader.number(length_size)
            if method == 1:
                if idat is None:
                    raise ValueError("an item is in a box idat, and there is none")
                start += idat.content
            if method < 2:  # 2: inside another item, which has its own extents
                item.extents.append((start, length or max(len(data) - start, 0)))


def _read_properties(data: bytes, iprp: Box, items: Items) -> None:
    inside = list(islice(boxes(data, iprp.content, iprp.end), 100))
    properties = (prop for box in inside if box.kind == b"ipco" for prop in boxes(data, box.content, box.end))
    known = list(islice(properties, _MOST_PROPERTIES))
    for number, index, essential in _associations(data, inside):
        if index and number in items.by_number:
            if index > len(known):
                raise ValueError(f"an item has property {index} of {len(known)}")
            items.by_number[number].properties.append((known[index - 1], essential))


def _associations(data: bytes, inside: list[Box]) -> Iterator[tuple[int, int, bool]]:
    """(number of the item, number of the property from 1 on, whether it is essential)."""
    for box in inside:
        if box.kind == b"ipma":
            version, reader = _full(data, box)
            wide = data[box.content + 3] & 1
            for _ in range(reader.number(4)):
                number = reader.number(4 if version else 2)
                for _ in range(reader.number(1)):
                    value = reader.number(2 if wide else 1)
                    yield number, value & (0x7FFF if wide else 0x7F), bool(value >> (15 if wide else 7))
