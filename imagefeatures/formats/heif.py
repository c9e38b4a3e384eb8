"""HEIC and AVIF: items inside boxes. One item is the picture that stands for the file, or the grid of its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from imagefeatures.errors import Rejected
from imagefeatures.formats import av1, hevc, tiff
from imagefeatures.formats.heif_items import METADATA, Item, Items, bytes_of, read_items
from imagefeatures.formats.isobmff import Box, Reader, boxes
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_CODEC = {"HEIC": b"hvc1", "AVIF": b"av01"}
_CONFIGURATION = {"HEIC": b"hvcC", "AVIF": b"av1C"}
_DEPTHS = (8, 10, 12)
_FIRST_BYTES = 4096  # of AV1 data, in which its header is
_MOST_ITEMS = 1000  # libheif takes no more
_MOST_SIDE, _MOST_PIXELS = 2**15, 2**28  # of libavif
_MATRICES = {"HEIC": {0, 1, 2, 4, 5, 6, 7, 9}}  # ITU-T H.273: of these the decoder makes RGB
_MATRICES["AVIF"] = {*_MATRICES["HEIC"], 8}
_UNDERSTOOD = {b"ispe", b"pixi", b"colr", b"pasp", b"irot", b"imir", b"clap", b"hvcC", b"av1C", b"auxC"}
_FILE_BOXES = {b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"wide", b"uuid", b"idat", b"mfra", b"moof"}


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the picture, or of the largest part that is decoded for it; None if they cannot be read."""
    meta = _whole_meta(data)
    if meta is None:
        return None
    try:
        items = _items(data, meta)
        primary = items.by_number.get(items.primary)
        if primary is None:
            return None
        used = (primary, *items.made_of(items.primary), *items.auxiliaries(items.primary))
        sides = [side for item in used for side in _sides(data, item)]
        sides += [frame for item in used if (frame := _frame(data, item))]
        sides += _track_sides(data)
    except ValueError:
        return None
    return max(sides, key=lambda pair: pair[0] * pair[1], default=None)


def check_mode(data: bytes, kind: str) -> None:
    """Check that the decoder reads right what the items declare. kind: HEIC or AVIF.

    Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE, and CORRUPT for items that contradict themselves).
    """
    meta = _whole_meta(data)
    if meta is None:
        return
    try:
        items = _items(data, meta)
        primary = _primary(items, kind)
        for part in _parts(data, items, primary):
            _check_coding(data, part, kind)
            _check_sides(data, part, kind)
        _check_matrices(data, primary, kind)  # of a grid, which has one besides those of its tiles
        _check_sides(data, primary, kind)
        _check_properties(primary, kind)
        for width, height in _sides(data, primary):
            if not width or not height:
                raise ValueError(f"a picture of {width} × {height}")
        list(_track_sides(data))
        declared = size(data)
    except ValueError as error:
        raise Rejected(Reason.CORRUPT, f"{kind} whose items cannot be read: {error}") from None
    if declared is None:
        raise Rejected(Reason.CORRUPT, f"{kind} that does not say how large its picture is")


def check(data: bytes, limits: Limits, kind: str) -> None:
    """Check that the file holds all its boxes and all bytes of its items, and count the metadata.

    Raises Rejected (TRUNCATED, METADATA_TOO_LARGE, CORRUPT, UNSUPPORTED_FORMAT).
    """
    needed, meta = _boxes_end(data), _whole_meta(data)
    has_track = any(box.kind == b"moov" for box in boxes(data, 0, len(data)))
    if meta is None and needed == len(data) and has_track:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"{kind} sequence without a picture that stands for it")
    if meta is None or needed > len(data):
        raise _truncated(data, kind, f"its boxes declare {max(needed, len(data) + 1):,} bytes or more")
    try:
        _check_items(data, meta, Metadata(kind, limits), kind)
    except ValueError as error:
        raise Rejected(Reason.CORRUPT, f"{kind} whose items cannot be read: {error}") from None
    if data[8:12] == b"avis" and not has_track:
        raise _truncated(data, kind, "it is a sequence without its track")


def readable(data: bytes) -> bytes:
    """The file without what is appended to it, and with metadata that the decoder does not recognise.

    Only the pixels are used, and neither decoder takes a file whose metadata is damaged.
    """
    meta = _whole_meta(data)
    if meta is None:
        return data
    items = _items(data, meta)
    hidden = bytearray(data[: max(_boxes_end(data), _items_end(items))])
    for item in items.by_number.values():
        if item.kind in METADATA | {b"tmap"}:  # a tone map is for screens, and makes no other picture
            hidden[item.kind_at : item.kind_at + 4] = b"skip"
    return bytes(hidden)


def _check_items(data: bytes, meta: Box, metadata: Metadata, kind: str) -> None:
    items = _items(data, meta)
    if (needed := _items_end(items)) > len(data):
        raise _truncated(data, kind, f"its items reach up to {needed:,}")
    metadata.add(meta.end - meta.start)  # with the colour profiles
    for item in items.by_number.values():
        if item.kind in METADATA:
            metadata.add(sum(length for _, length in item.extents))
        if item.kind == b"Exif":  # it begins with the position of the TIFF header
            block = bytes_of(data, item)
            tiff.check_exif(block[4 + int.from_bytes(block[:4]) :], metadata)
        frame = _frame(data, item)
        if frame and item.property(b"ispe") and frame != next(_sides(data, item)):
            raise Rejected(Reason.CORRUPT, f"{kind} with AV1 data of {frame[0]} × {frame[1]}, declared as another size")


def _boxes_end(data: bytes) -> int:
    """Where the last box ends that belongs to such a file. What is appended behind it need not be a box."""
    return max((box.end for box in boxes(data, 0, len(data)) if box.kind in _FILE_BOXES), default=len(data))


def _items_end(items: Items) -> int:
    return max((start + length for item in items.by_number.values() for start, length in item.extents), default=0)


def _truncated(data: bytes, kind: str, declared: str) -> Rejected:
    return Rejected(Reason.TRUNCATED, f"{kind} of {len(data):,} bytes, {declared}")


def _whole_meta(data: bytes) -> Box | None:
    """The box of the items; None when the data ends before it does."""
    found = next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    return found if found and found.end <= len(data) else None


@lru_cache(1)  # header, completeness and decoding ask for the same file's
def _items(data: bytes, meta: Box) -> Items:
    return read_items(data, meta)


def _primary(items: Items, kind: str) -> Item:
    primary = items.by_number.get(items.primary)
    if len(items.by_number) > _MOST_ITEMS:
        count = len(items.by_number)
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"{kind} file of {count:,} items, of at most {_MOST_ITEMS:,}")
    if primary is None:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"{kind} file without a picture that stands for it")
    return primary


def _parts(data: bytes, items: Items, primary: Item) -> Iterator[Item]:
    """The items whose pixels are decoded: the picture itself, or the tiles of its grid."""
    if primary.kind != b"grid":
        yield primary
        return
    grid, tiles = bytes_of(data, primary), items.made_of(items.primary)
    if len(grid) >= 4 and len(tiles) != (grid[2] + 1) * (grid[3] + 1):
        raise ValueError(f"a grid of {grid[2] + 1} × {grid[3] + 1} tiles has {len(tiles)}")
    yield from tiles


def _check_coding(data: bytes, item: Item, kind: str) -> None:
    """Raises Rejected for a codec, a depth or a colour space that is not read."""
    if item.kind != _CODEC[kind]:
        found = item.kind.decode("latin-1")
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"{kind} file whose picture is coded as {found!r}")
    box = item.property(_CONFIGURATION[kind])
    if box is None:
        raise ValueError("a picture has no decoder configuration")
    reader = Reader(data, box.content, box.end)
    if kind == "HEIC":
        luma, chroma = (8 + (byte & 7) for byte in reader.take(19)[17:19])
        if luma != chroma or luma not in _DEPTHS:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"{kind} of {luma} and {chroma} bits a channel")
    else:
        reader.take(3)  # AV1 has no other depth than 8, 10 and 12 bits
    _check_matrices(data, item, kind)


def _check_matrices(data: bytes, item: Item, kind: str) -> None:
    """Raises Rejected for a colour matrix that is not read: of an item, or where it names none of its bitstream."""
    colours = [box.content for box, _ in item.properties if box.kind == b"colr"]
    named = [start for start in colours if data[start : start + 4] == b"nclx"]  # a profile may stand before it
    matrices = [int.from_bytes(data[start + 8 : start + 10]) for start in named]
    for matrix in matrices or _coded_matrices(data, item):
        if matrix not in _MATRICES[kind]:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"{kind} with the colour matrix {matrix} of ITU-T H.273")


def _coded_matrices(data: bytes, item: Item) -> Iterator[int]:
    """The colour matrices that the bitstream of an item names."""
    if item.kind == _CODEC["AVIF"]:
        matrix = av1.colour_matrix(bytes_of(data, item)[:_FIRST_BYTES])
        yield from [] if matrix is None else [matrix]
    elif box := item.property(_CONFIGURATION["HEIC"]):
        yield from hevc.colour_matrices(data[box.content : box.end])


def _check_sides(data: bytes, item: Item, kind: str) -> None:
    """Raises Rejected for a size that libavif refuses, though the format allows it."""
    for width, height in _sides(data, item) if kind == "AVIF" else ():
        if max(width, height) > _MOST_SIDE or width * height > _MOST_PIXELS:
            raise Rejected(
                Reason.UNSUPPORTED_FORMAT,
                f"found an AVIF image of {width:,} × {height:,} pixels, no side above {_MOST_SIDE:,} is read, nor more "
                f"than {_MOST_PIXELS:,} pixels",
            )


def _check_properties(primary: Item, kind: str) -> None:
    """Raises Rejected for a picture that a reader must change in a way in which the decoder does not."""
    kinds = [box.kind for box, _ in primary.properties]
    unknown = [box.kind for box, essential in primary.properties if essential and box.kind not in _UNDERSTOOD]
    if kind == "AVIF":  # its decoder does not crop, and always mirrors after it has turned
        unknown += [b"clap"] * kinds.count(b"clap")
        if kinds.count(b"irot") and kinds.count(b"imir") and kinds.index(b"imir") < kinds.index(b"irot"):
            unknown.append(b"imir")
    if unknown:
        names = ", ".join(name.decode("latin-1") for name in unknown)
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"{kind} file that must be read with {names}, which is not supported")


def _frame(data: bytes, item: Item) -> tuple[int, int] | None:
    """The size that the AV1 data of an item declares for itself, if all of it is there. Raises ValueError."""
    if item.kind != _CODEC["AVIF"] or any(start + length > len(data) for start, length in item.extents):
        return None
    return av1.frame_size(bytes_of(data, item)[:_FIRST_BYTES])


def _sides(data: bytes, item: Item) -> Iterator[tuple[int, int]]:
    """Width and height that an item declares; of a grid, also those that its own bytes declare."""
    if box := item.property(b"ispe"):
        reader = Reader(data, box.content + 4, box.end)
        yield reader.number(4), reader.number(4)
    if item.kind == b"grid" and (grid := bytes_of(data, item)):
        wide = 4 if grid[1:2] == b"\1" else 2
        reader = Reader(grid, 4, len(grid))
        yield reader.number(wide), reader.number(wide)


def _track_sides(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height of the tracks of a sequence."""
    for moov in boxes(data, 0, len(data)):
        for trak in boxes(data, moov.content, min(moov.end, len(data))) if moov.kind == b"moov" else ():
            for box in boxes(data, trak.content, min(trak.end, len(data))) if trak.kind == b"trak" else ():
                if box.kind == b"tkhd":  # both are its last numbers, with 16 bits behind the point
                    reader = Reader(data, box.end - 8, box.end)
                    yield reader.number(4) >> 16, reader.number(4) >> 16
