"""The tables of a HEIC or AVIF file, in every version of each: items, their bytes, properties and references."""

from __future__ import annotations

import pytest

from imagefeatures.formats.heif_items import Item, Items, bytes_of, read_items
from imagefeatures.formats.isobmff import Box
from support.heif_boxes import box, full, iinf, infe

LIMIT = 2**20


def meta(*tables: bytes) -> bytes:
    return full(b"meta", 0, b"".join(tables))


def read(data: bytes, start: int = 0) -> Items:
    return read_items(data, Box(b"meta", start, start + 8, len(data)))


@pytest.mark.parametrize(("version", "width"), [(0, 2), (1, 4)])
def test_the_item_that_stands_for_the_file_is_read(version: int, width: int) -> None:
    assert read(meta(full(b"pitm", version, (0x1234).to_bytes(width)))).primary == 0x1234
    assert read(b"before" + meta(full(b"pitm", version, (7).to_bytes(width))), 6).primary == 7
    with pytest.raises(ValueError, match="are needed"):
        read(meta(full(b"pitm", version, bytes(width - 1))))
    assert read(meta()) == Items()


@pytest.mark.parametrize("version", [0, 1])
def test_the_kinds_of_items_and_where_they_stand_are_read(version: int) -> None:
    number = 70_000
    data = meta(iinf(infe(1, b"hvc1"), infe(2, b"Exif"), infe(number, b"grid", version=3), version=version))
    items = read(data).by_number
    assert items == {
        1: Item(b"hvc1", data.index(b"hvc1")),
        2: Item(b"Exif", data.index(b"Exif")),
        number: Item(b"grid", data.index(b"grid")),
    }
    before_there_were_kinds = full(b"infe", 1, b"\0\3\0\0abcdef")
    others = meta(
        iinf(before_there_were_kinds, box(b"free", bytes(20)), box(b"skip", b""), infe(1, b"hvc1"), version=version)
    )
    assert list(read(others).by_number) == [1]
    of_another_kind = full(b"free", 2, infe(3, b"hvc1")[12:])  # though it would read like an item's kind
    assert list(read(meta(iinf(of_another_kind, infe(1, b"hvc1"), version=version))).by_number) == [1]


def iloc(version: int, sizes: tuple[int, int, int, int], *items: tuple[int, int, int, list[tuple[int, int]]]) -> bytes:
    """sizes: of an offset, a length, a base and an index. items: number, method, base, and its (offset, length)."""
    offset_size, length_size, base_size, index_size = sizes
    wide = 4 if version == 2 else 2
    data = bytes([offset_size << 4 | length_size, base_size << 4 | index_size]) + len(items).to_bytes(wide)
    for number, method, base, extents in items:
        data += number.to_bytes(wide) + (method.to_bytes(2) if version else b"") + b"\0\0" + base.to_bytes(base_size)
        data += len(extents).to_bytes(2)
        for offset, length in extents:
            data += bytes(index_size if version else 0) + offset.to_bytes(offset_size) + length.to_bytes(length_size)
    return full(b"iloc", version, data)


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("sizes", [(4, 4, 0, 0), (4, 4, 4, 4), (8, 4, 8, 8), (2, 8, 4, 0)])
def test_the_bytes_of_items_are_found(sizes: tuple[int, int, int, int], version: int) -> None:
    base = 1000 if sizes[2] else 0
    data = meta(iloc(version, sizes, (1, 0, base, [(10, 20), (40, 50)]), (2, 0, base, []), (3, 0, base, [(7, 0)])))
    items = read(data).by_number
    assert items[1].extents == [(base + 10, 20), (base + 40, 50)]
    assert items[2].extents == []
    assert items[3].extents == [(base + 7, max(len(data) - base - 7, 0))]  # without a length: up to the end of the file


@pytest.mark.parametrize("version", [1, 2])
def test_items_may_be_in_a_box_of_the_table_itself_or_in_another_item(version: int) -> None:
    sizes = (4, 4, 0, 0)
    of_each = [(number, method, 0, [(2, 3)]) for number, method in ((1, 1), (2, 2), (3, 0x10))]
    data = meta(iloc(version, sizes, *of_each), box(b"idat", b"abcdef"))
    items = read(data).by_number
    assert bytes_of(data, items[1]) == b"cde"
    assert items[2].extents == []
    assert items[3].extents == [(2, 3)]
    with pytest.raises(ValueError, match="an item is in a box idat, and there is none"):
        read(meta(iloc(version, sizes, (1, 1, 0, [(2, 3)]))))


def test_an_item_that_was_named_before_keeps_its_kind() -> None:
    data = meta(iinf(infe(1, b"hvc1")), iloc(0, (4, 4, 0, 0), (1, 0, 0, [(2, 3)])))
    assert read(data).by_number == {1: Item(b"hvc1", data.index(b"hvc1"), [(2, 3)])}
    unnamed = read(meta(iloc(0, (4, 4, 0, 0), (1, 0, 0, [(2, 3)])))).by_number[1]
    assert (unnamed.kind, unnamed.kind_at, unnamed.extents) == (b"", 0, [(2, 3)])


def test_several_parts_need_places() -> None:
    sizes = (0, 0, 4, 0)
    assert len(read(meta(iloc(0, sizes, (1, 0, 5, [(0, 0)])))).by_number[1].extents) == 1
    with pytest.raises(ValueError, match="an item has several parts at one place"):
        read(meta(iloc(0, sizes, (1, 0, 5, [(0, 0), (0, 0)]))))
    for with_places in ((4, 0, 0, 0), (0, 4, 0, 0)):
        assert len(read(meta(iloc(0, with_places, (1, 0, 0, [(0, 0)] * 2)))).by_number[1].extents) == 2


@pytest.mark.parametrize(("version", "width"), [(0, 2), (1, 4)])
def test_references_name_what_an_item_is_made_of_and_what_is_for_it(version: int, width: int) -> None:
    def reference(kind: bytes, source: int, *to: int) -> bytes:
        numbers = b"".join(number.to_bytes(width) for number in to)
        return box(kind, source.to_bytes(width) + len(to).to_bytes(2) + numbers)

    kinds = iinf(*(infe(number, b"hvc1") for number in range(1, 7)))
    made = reference(b"dimg", 5, 1, 3, 99) + reference(b"dimg", 5, 2) + reference(b"dimg", 6, 4)
    items = read(meta(kinds, full(b"iref", version, made + reference(b"auxl", 4, 5, 6) + reference(b"auxl", 98, 5))))
    assert items.references[0] == (b"dimg", 5, [1, 3, 99])
    assert items.made_of(5) == [items.by_number[1], items.by_number[3]]  # of the first list those that are there
    assert items.made_of(6) == [items.by_number[4]]
    assert items.made_of(1) == items.made_of(4) == items.auxiliaries(4) == items.auxiliaries(98) == []
    assert items.auxiliaries(5) == items.auxiliaries(6) == [items.by_number[4]]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [0, 1])
def test_properties_are_those_that_an_item_is_associated_with_in_their_order(wide: int, version: int) -> None:
    first, second, third = box(b"ispe", bytes(12)), box(b"colr", b"nclx"), box(b"irot", b"\1")
    essential = 0x8000 if wide else 0x80
    size = 2 if wide else 1

    def ipma(*items: tuple[int, list[int]]) -> bytes:
        data = len(items).to_bytes(4)
        for number, values in items:
            data += number.to_bytes(4 if version else 2) + bytes([len(values)])
            data += b"".join(value.to_bytes(size) for value in values)
        return full(b"ipma", version, data, flags=wide)

    def of(*items: tuple[int, list[int]]) -> tuple[bytes, Items]:
        iprp = box(b"iprp", box(b"ipco", first + second + third) + box(b"free", b"") + ipma(*items))
        data = meta(iinf(infe(1, b"hvc1"), infe(2, b"hvc1")), iprp)
        return data, read(data)

    data, items = of((1, [3 | essential, 1, 0]), (2, [2]), (9, [1]))
    assert [(found.kind, must) for found, must in items.by_number[1].properties] == [(b"irot", True), (b"ispe", False)]
    colours = items.by_number[2].property(b"colr")
    assert colours is not None
    assert data[colours.content : colours.end] == b"nclx"
    assert items.by_number[2].property(b"ispe") is None
    assert 9 not in items.by_number
    with pytest.raises(ValueError, match="an item has property 4 of 3"):
        of((1, [4]))
    of((9, [4]))  # an item that is not there


@pytest.mark.parametrize(("between", "count"), [(98, 1), (99, 0)])
def test_properties_are_read_from_the_first_hundred_boxes_of_their_table(between: int, count: int) -> None:
    ipma = full(b"ipma", 0, (1).to_bytes(4) + (1).to_bytes(2) + b"\1\1")
    iprp = box(b"iprp", box(b"ipco", box(b"irot", b"\1")) + box(b"free") * between + ipma)
    assert len(read(meta(iinf(infe(1, b"hvc1")), iprp)).by_number[1].properties) == count


def test_a_table_of_a_mebibyte_is_read_and_no_larger_one() -> None:
    largest = full(b"pitm", 0, b"\0\7".ljust(LIMIT - 12, b"\0"))
    assert len(largest) == LIMIT
    assert read(meta(largest)).primary == 7
    with pytest.raises(ValueError, match="a table has 1,048,577 bytes, of at most 1,048,576"):
        read(meta(full(b"pitm", 0, bytes(LIMIT - 11))))


def test_the_bytes_of_an_item_are_those_that_are_there() -> None:
    assert bytes_of(b"abcdef", Item(extents=[(4, 9), (0, 2)])) == b"efab"
