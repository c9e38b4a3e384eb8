"""The scans of a JPEG bring every coefficient of every component, to its last bit, or the file is truncated."""

from __future__ import annotations

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats.jpeg_frame import Frame, check_scans

BASELINE, PROGRESSIVE, PROGRESSIVE_ARITHMETIC = 0xC0, 0xC2, 0xCA
ALL = b"\1\2\3"


def scan(components: bytes, first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    """A scan's header from its length field on. bits: how many were missing before, and how many are now."""
    content = bytes([len(components)]) + b"".join(bytes([name, 0]) for name in components) + bytes([first, last, bits])
    return (len(content) + 2).to_bytes(2) + content


def lacking(marker: int, *scans: bytes) -> str:
    """The components that are named as incomplete; empty if all are whole."""
    try:
        check_scans(Frame(marker, 8, 30, 20, ALL, None, False, b"\x11" * 3), list(scans))
    except Rejected as why:
        assert why.reason == "TRUNCATED"
        begin, end = "JPEG whose last scans are missing: component ", " is incomplete"
        assert why.detail.startswith(begin)
        assert why.detail.endswith(end)
        return why.detail.removeprefix(begin).removesuffix(end)
    return ""


@pytest.mark.parametrize(
    ("scans", "names"),
    [
        ([], ""),  # the decoder says so
        ([scan(ALL)], ""),
        ([scan(b"\1"), scan(b"\2\3")], ""),
        ([scan(b"\3"), scan(b"\1"), scan(b"\2")], ""),
        ([scan(b"\1\2")], "3"),
        ([scan(b"\1\4"), scan(b"\2")], "3"),
        ([scan(b"\2")], "1, 3"),
        ([scan(b"\1"), scan(ALL)], ""),
        ([scan(b"\1"), scan(ALL)[:-1]], "2, 3"),  # a header that is cut brings nothing
        ([scan(b"\1"), scan(b"\2\3")[:3]], "2, 3"),
        ([scan(b"\1"), scan(b"\2\3")[:2]], "2, 3"),
        ([scan(b"\1"), scan(b"")], "2, 3"),
        ([scan(ALL)[:-1]], ""),  # a single scan of all is looked at no further: the decoder does
    ],
)
def test_a_sequential_jpeg_needs_each_component_once(scans: list[bytes], names: str) -> None:
    assert lacking(BASELINE, *scans) == names


@pytest.mark.parametrize("marker", [PROGRESSIVE, PROGRESSIVE_ARITHMETIC])
@pytest.mark.parametrize(
    ("scans", "names"),
    [
        ([], ""),
        ([scan(ALL)], ""),
        ([scan(ALL, 0, 0), scan(b"\1", 1, 63), scan(b"\2", 1, 63), scan(b"\3", 1, 63)], ""),
        ([scan(ALL, 0, 0), scan(b"\1", 1, 63), scan(b"\3", 1, 63)], "2"),
        ([scan(ALL, 0, 0), scan(b"\1", 1, 63), scan(b"\2", 1, 62), scan(b"\3", 1, 63)], "2"),
        ([scan(ALL, 0, 0), scan(b"\1", 2, 63), scan(b"\2", 1, 63), scan(b"\3", 1, 63)], "1"),
        ([scan(ALL, 1, 63)], "1, 2, 3"),
        ([scan(ALL, 0, 255)], ""),  # 63 is the last that there is
        ([scan(ALL, 0, 63, 0x01)], "1, 2, 3"),
        ([scan(ALL, 0, 255, 0x01), scan(ALL, 0, 63, 0x10)], ""),
        ([scan(ALL, 0, 63, 0x02), scan(ALL, 0, 63, 0x21)], "1, 2, 3"),
        ([scan(ALL, 0, 63, 0x01), scan(ALL, 0, 63, 0x10)], ""),
        ([scan(ALL, 0, 63, 0x01), scan(b"\1", 0, 63, 0x10), scan(b"\3\4", 0, 63, 0x10)], "2"),
        ([scan(ALL, 0, 63, 0x01), scan(ALL, 0, 63, 0x10)[:-1]], "1, 2, 3"),
    ],
)
def test_a_progressive_jpeg_needs_every_bit_of_every_coefficient(marker: int, scans: list[bytes], names: str) -> None:
    assert lacking(marker, *scans) == names
