"""HEIC and AVIF files put together from their boxes, as far as a reader of headers looks at them."""

from __future__ import annotations

from dataclasses import dataclass, field


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content


def full(kind: bytes, version: int, content: bytes, flags: int = 0) -> bytes:
    """A box with a version and flags."""
    return box(kind, bytes([version]) + flags.to_bytes(3) + content)


def infe(number: int, kind: bytes, version: int = 2) -> bytes:
    """The kind of an item."""
    return full(b"infe", version, number.to_bytes(2 if version == 2 else 4) + b"\0\0" + kind + b"name\0")


def iinf(*entries: bytes, version: int = 0) -> bytes:
    return full(b"iinf", version, len(entries).to_bytes(4 if version else 2) + b"".join(entries))


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", 0, width.to_bytes(4) + height.to_bytes(4))


def hvcc(luma: int = 8, chroma: int = 8, parameters: bytes = b"") -> bytes:
    """The configuration of HEVC, as far as its depths; with the parameters of a sequence where they are given."""
    depths = bytes(17) + bytes([0xF8 | luma - 8, 0xF8 | chroma - 8])
    units = bytes(3) + b"\1\xa1\0\1" + len(parameters).to_bytes(2) + parameters
    return box(b"hvcC", depths + (units if parameters else b""))


def av1c(flags: int = 0) -> bytes:
    return box(b"av1C", b"\x81\0" + bytes([flags]) + b"\0")


def grid(rows: int, columns: int, width: int, height: int, wide: bool = False) -> bytes:
    size = 4 if wide else 2
    return bytes([0, wide, rows - 1, columns - 1]) + width.to_bytes(size) + height.to_bytes(size)


def track(width: int, height: int) -> bytes:
    """A track of a sequence, by its size alone."""
    return box(b"trak", full(b"tkhd", 0, bytes(72) + (width << 16).to_bytes(4) + (height << 16).to_bytes(4)))


@dataclass(frozen=True)
class Heif:
    """A file. items: number: (kind, its bytes, its properties: each a box, and whether it must be understood).

    references: (kind, from, to).
    """

    items: dict[int, tuple[bytes, bytes, list[tuple[bytes, bool]]]]
    primary: int = 1
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    brand: bytes = b"heic"
    rest: bytes = b""

    def bytes(self) -> bytes:
        """The whole file: ftyp, meta, mdat, the rest."""
        head = box(b"ftyp", self.brand + bytes(4) + b"mif1")
        start = len(head) + len(self._meta(0)) + 8
        return head + self._meta(start) + box(b"mdat", b"".join(data for _, data, _ in self.items.values())) + self.rest

    def _meta(self, start: int) -> bytes:
        kinds = iinf(*(infe(number, kind) for number, (kind, _, _) in self.items.items()))
        places, properties, associations = b"", b"", b""
        known = 0
        for number, (_, data, described) in self.items.items():
            places += number.to_bytes(2) + b"\0\0\0\1" + start.to_bytes(4) + len(data).to_bytes(4)
            start += len(data)
            properties += b"".join(prop for prop, _ in described)
            values = [known + index | 0x80 * must for index, (_, must) in enumerate(described, 1)]
            known += len(described)
            associations += number.to_bytes(2) + bytes([len(described), *values])
        count = len(self.items).to_bytes(2)
        ipma = full(b"ipma", 0, len(self.items).to_bytes(4) + associations)
        tables = [
            full(b"pitm", 0, self.primary.to_bytes(2)),
            kinds,
            full(b"iloc", 0, b"\x44\0" + count + places),
            box(b"iprp", box(b"ipco", properties) + ipma),
        ]
        if self.references:
            tables.append(full(b"iref", 0, b"".join(map(_reference, self.references))))
        return full(b"meta", 0, b"".join(tables))


def _reference(reference: tuple[bytes, int, list[int]]) -> bytes:
    kind, source, to = reference
    return box(kind, source.to_bytes(2) + len(to).to_bytes(2) + b"".join(number.to_bytes(2) for number in to))
