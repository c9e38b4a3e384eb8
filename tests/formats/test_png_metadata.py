"""The metadata of a PNG, counted to the byte: each chunk, and what it inflates to."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.formats import png
from imagefeatures.limits import Limits
from support.photos import encoded, picture, png_chunk

PLAIN = encoded(picture(), "PNG")
STREAM = zlib.compress(bytes(500))
EXIF = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x9C9B, 1, 30, 8, 0)
"""One tag that claims 30 of the block's 26 bytes."""

COUNTED = {
    "a text": (png_chunk(b"tEXt", b"name\0" + bytes(95)), 112),
    "a chunk of no byte": (png_chunk(b"bKGD", b""), 12),
    "two chunks": (png_chunk(b"tIME", bytes(7)) + png_chunk(b"abCd", bytes(20)), 19 + 32),
    "a compressed text": (png_chunk(b"zTXt", b"name\0\0" + STREAM), 12 + 6 + len(STREAM) + 500),
    "one that cannot be inflated": (png_chunk(b"zTXt", b"name\0\0no stream"), 12 + 15),
    "a profile": (png_chunk(b"iCCP", b"name\0\0" + STREAM), 12 + 6 + len(STREAM) + 500),
    "an international text": (png_chunk(b"iTXt", b"k\0\1\0\0\0" + STREAM), 12 + 6 + len(STREAM) + 500),
    "one in a language": (png_chunk(b"iTXt", b"k\0\1\0en\0key\0" + STREAM), 12 + 11 + len(STREAM) + 500),
    "one that is not compressed": (png_chunk(b"iTXt", b"k\0\0\0\0\0" + STREAM), 12 + 6 + len(STREAM)),
    "EXIF": (png_chunk(b"eXIf", EXIF), 12 + 26 + 26),
    "a chunk with a wrong CRC": (png_chunk(b"tEXt", b"name\0text")[:-1] + b"?", 0),
}


def with_chunks(chunks: bytes) -> bytes:
    start = PLAIN.index(b"IDAT") - 4
    return PLAIN[:start] + chunks + PLAIN[start:]


@pytest.mark.parametrize("name", COUNTED)
def test_metadata_are_counted_to_the_byte(name: str) -> None:
    chunks, count = COUNTED[name]
    data = with_chunks(chunks + png_chunk(b"tIME", bytes(7)))
    png.check(data, Limits(max_metadata_bytes=count + 19))
    with pytest.raises(Rejected) as much:
        png.check(data, Limits(max_metadata_bytes=count + 18))
    found = f"PNG with {count + 19:,} bytes of metadata or more, {count + 18:,} are allowed (limits.max_metadata_bytes)"
    assert (much.value.reason, much.value.detail) == ("METADATA_TOO_LARGE", found)


def test_neither_pixels_nor_frames_of_an_animation_are_metadata() -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert data.count(b"fdAT") == 2
    assert data.count(b"fcTL") == 3
    png.check(data, Limits(max_metadata_bytes=20 + 3 * 38))  # acTL and three fcTL
    with pytest.raises(Rejected, match="PNG with 134 bytes of metadata or more"):
        png.check(data, Limits(max_metadata_bytes=19 + 3 * 38))


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_profile_or_text_may_inflate_to_its_limit(kind: bytes) -> None:
    between = b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0"
    data = with_chunks(png_chunk(kind, b"name" + between + zlib.compress(bytes(1000))))
    assert images.inspect(data, Limits(max_profile_bytes=1000)).width == 64
    with pytest.raises(Rejected) as much:
        png.check(data, Limits(max_profile_bytes=999))
    size = 4 + len(between) + len(zlib.compress(bytes(1000)))
    detail = f"PNG chunk {kind.decode()!r} of {size} bytes inflates to more than 999 (limits.max_profile_bytes)"
    assert (much.value.reason, much.value.detail) == ("METADATA_TOO_LARGE", detail)


AS_TEXT = b"Raw profile type exif\0"


def behind_pixels(chunk: bytes) -> bytes:
    start = PLAIN.index(b"IEND") - 4
    return PLAIN[:start] + chunk + PLAIN[start:]


def test_a_profile_is_no_exif_whatever_its_name() -> None:
    data = behind_pixels(png_chunk(b"iCCP", AS_TEXT + b"\0" + STREAM))
    assert formats.readable("PNG", data) is data


def test_exif_before_the_pixels_stays_where_it_is() -> None:
    data = with_chunks(png_chunk(b"eXIf", EXIF) + png_chunk(b"tIME", bytes(7)))
    assert formats.readable("PNG", data) is data
    without = with_chunks(png_chunk(b"eXIf", EXIF) + png_chunk(b"zTXt", AS_TEXT))
    assert formats.readable("PNG", without) is without, "a text of no bytes"


def test_exif_in_a_text_of_another_compression_is_left_out() -> None:
    assert formats.readable("PNG", with_chunks(png_chunk(b"zTXt", AS_TEXT + b"\1" + STREAM))) == PLAIN


def test_exif_behind_pixels_of_several_chunks_stands_before_the_first() -> None:
    start = PLAIN.index(b"IDAT") - 4
    pixels = PLAIN[start + 8 : -16]
    parts = b"".join(png_chunk(b"IDAT", part) for part in (pixels[:10], pixels[10:]))
    exif = png_chunk(b"eXIf", EXIF)
    assert formats.readable("PNG", PLAIN[:start] + parts + exif + PLAIN[-12:]) == (
        PLAIN[:start] + exif + parts + PLAIN[-12:]
    )


def test_a_chunk_that_was_cut_is_none_and_a_file_without_its_end_is_truncated() -> None:
    pixels = len(PLAIN) - 12
    for cut in (1, 12, 24, 25, 100):
        assert [kind for _, kind, _ in png._chunks(PLAIN[: pixels - cut])] == [b"IHDR"]
        with pytest.raises(Rejected, match=rf"^TRUNCATED: PNG of {pixels - cut:,} bytes without its end chunk$"):
            png.check(PLAIN[: pixels - cut], Limits())
