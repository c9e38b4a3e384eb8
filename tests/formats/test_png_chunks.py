"""Chunks of a PNG that touch no pixel, damaged ones among them, and the one of them that turns the picture: EXIF."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from imagefeatures import formats, images, transforms
from imagefeatures.settings import REPOSITORY
from support.judging import LIMITS, decoded, rgb, why
from support.photos import encoded, picture, png_chunk, png_made, turned
from support.png_files import PALETTE, PIXELS, PLAIN, indexed, with_chunk
from support.snippets import section


def damaged(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


SHORT = {b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"sRGB": 1}
BROKEN = {
    **{
        f"{name.decode()} of {size} bytes": png_chunk(name, bytes(size))
        for name in SHORT
        for size in range(SHORT[name])
    },
    "an empty profile": png_chunk(b"iCCP", b""),
    "a profile without a name": png_chunk(b"iCCP", b"no end"),
    "a profile without a stream": png_chunk(b"iCCP", b"name\0"),
    "a profile of another compression": png_chunk(b"iCCP", b"name\0\1" + zlib.compress(b"profile")),
    "a profile that cannot be inflated": png_chunk(b"iCCP", b"name\0\0no stream"),
    "a text of another compression": png_chunk(b"zTXt", b"name\0\1" + zlib.compress(b"text")),
    "a text without a name": png_chunk(b"zTXt", b"no end"),
    "a text that cannot be inflated": png_chunk(b"zTXt", b"name\0\0no stream"),
    "an international text without parts": png_chunk(b"iTXt", b"name\0\1"),
    "EXIF that is none": png_chunk(b"eXIf", b"no exif"),
    "a background of no colour": png_chunk(b"bKGD", b""),
    "bits of no depth": png_chunk(b"sBIT", b""),
    "an animation of no frames": png_chunk(b"acTL", b""),
    "a frame of another number": png_chunk(b"acTL", bytes(3) + b"\2" + bytes(4)) + png_chunk(b"fcTL", bytes(3) + b"\7"),
    "a frame beyond the picture": png_chunk(b"acTL", bytes(3) + b"\2" + bytes(4))
    + png_chunk(b"fcTL", bytes(4) + b"\0\1\0\0" * 2 + bytes(14)),
    "an unknown chunk": png_chunk(b"abCd", b"anything"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_a_damaged_chunk_that_touches_no_pixel_does_not_matter(name: str, behind: bool) -> None:
    assert np.array_equal(decoded(with_chunk(BROKEN[name], behind)), PIXELS)


METADATA = (
    "gAMA cHRM sRGB pHYs iCCP tEXt zTXt iTXt tIME bKGD hIST sPLT sBIT eXIf cICP mDCV cLLI "  # of the third edition
    "oFFs pCAL sCAL sTER gIFg gIFx gIFt fRAc dSIG "  # registered extensions
    "mDCv cLLi caBX vpAg caNv orNT"  # as drafts and programs write them
)


@pytest.mark.parametrize("kind", [name.encode() for name in METADATA.split()])
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_metadata_with_a_wrong_crc_do_not_matter(kind: bytes, behind: bool) -> None:
    assert np.array_equal(decoded(with_chunk(damaged(png_chunk(kind, b"\0\0\0\1" * 9)), behind)), PIXELS)


@pytest.mark.parametrize("kind", [b"PLTE", b"IDAT", b"tRNS", b"abCd", b"iDAT", b"ABCD"])
def test_another_chunk_with_a_wrong_crc_is_corrupt(kind: bytes) -> None:
    detail = f"PNG chunk {kind.decode()!r} at byte 33 has a wrong CRC"
    assert why(with_chunk(damaged(png_chunk(kind, bytes(9))))) == ("CORRUPT", detail)


WHOLE = {
    **{f"{name.decode()} of {size} bytes": png_chunk(name, bytes(size)) for name, size in SHORT.items()},
    "a profile": png_chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile")),
    "a profile without bytes": png_chunk(b"iCCP", b"name\0\0"),
    "no byte": png_chunk(b"bKGD", b""),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_decoder_gets_the_file_itself_where_nothing_is_damaged(name: str) -> None:
    for data in (with_chunk(WHOLE[name]), with_chunk(WHOLE[name], behind=True)):
        assert formats.readable("PNG", data) is data
        assert np.array_equal(decoded(data), PIXELS)


TEXTS = {
    "a text": lambda name, text: png_chunk(b"tEXt", name + b"\0" + text),
    "a compressed text": lambda name, text: png_chunk(b"zTXt", name + b"\0\0" + zlib.compress(text)),
    "an international text": lambda name, text: png_chunk(b"iTXt", name + bytes(5) + text),
    "a compressed text without bytes": lambda name, text: png_chunk(b"zTXt", name + b"\0"),
    "a name alone": lambda name, text: png_chunk(b"zTXt", name),
}
"""Chunks, by the keyword and the text."""


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_the_decoder_does_not_get_a_text(kind: str, behind: bool) -> None:
    data = with_chunk(TEXTS[kind](b"name", b"text"), behind)
    assert formats.readable("PNG", data) == PLAIN
    assert np.array_equal(decoded(data), PIXELS)


def files_of_every_mode() -> dict[str, bytes]:
    grey, colours = Image.fromarray(PIXELS[..., 0]), Image.fromarray(PIXELS)
    passes = png_made(8, 8, 8, 0, bytes(8 * 8 * 3), interlaced=True)
    return {
        "1": encoded(grey.convert("1"), "PNG"),
        "L": encoded(grey, "PNG"),
        "L of 4 bits with a transparent colour": with_chunk(
            png_chunk(b"tRNS", b"\0\7"),
            data=png_made(64, 48, 4, 0, b"".join(b"\0" + row.tobytes() for row in PIXELS[:, :32, 0])),
        ),
        "I;16": encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"),
        "LA": encoded(Image.merge("LA", (grey, grey)), "PNG"),
        "P": indexed(PALETTE.tobytes()),
        "P with transparent colours": with_chunk(png_chunk(b"tRNS", b"\0\x80"), data=indexed(PALETTE.tobytes())),
        "RGB": PLAIN,
        "RGB with a transparent colour": encoded(colours, "PNG", transparency=tuple(PIXELS[3, 4].tolist())),
        "RGBA": encoded(np.dstack([PIXELS, PIXELS[..., 0]]), "PNG"),
        "interlaced": passes,
        "turned": encoded(colours, "PNG", exif=turned(6)),
    }


KEYWORDS = (
    *("bbox", "interlace", "transparency", "depth", "exif", "icc_profile", "default_image", "dpi", "gamma", "srgb"),
    *("xmp", "disposal", "blend", "duration", "loop"),
)
"""Under these names Pillow's decoder keeps what it has read, or looks for it."""


@pytest.mark.parametrize("kind", ["a text", "a compressed text", "an international text"])
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_text_is_nothing_but_a_text_whatever_its_keyword(keyword: str, kind: str) -> None:
    chunk = TEXTS[kind](keyword.encode(), b"II*\0 any words")
    for name, data in files_of_every_mode().items():
        expected, alpha = decoded(data), visible(data)
        for behind in (False, True):
            with_text = with_chunk(chunk, behind, data)
            assert images.inspect(with_text, LIMITS) == images.inspect(data, LIMITS), name
            assert np.array_equal(decoded(with_text), expected), name
            assert np.array_equal(visible(with_text), alpha), name


def visible(data: bytes) -> np.ndarray:
    """Which pixels can be seen, where the file says that some cannot: uint8 [height, width]; else empty."""

    def alpha(image: Image.Image) -> np.ndarray:
        found = transforms._alpha(image)
        return np.empty(0) if found is None else np.asarray(found)

    return images.decode(data, LIMITS, alpha).pixels


def as_text(kind: str, exif: bytes) -> bytes:
    """EXIF in a text, as ImageMagick writes it."""
    return TEXTS[kind](b"Raw profile type exif", b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode()))


UPSIDE_DOWN, ON_ITS_SIDE = turned(3).tobytes(), turned(6).tobytes()
EXIF = {
    "a chunk": lambda exif: png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")),
    "a text": lambda exif: as_text("a text", exif),
    "a compressed text": lambda exif: as_text("a compressed text", exif),
}


@pytest.mark.parametrize("kind", EXIF)
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_exif_turns_a_picture_wherever_it_stands(kind: str, behind: bool) -> None:
    data = with_chunk(EXIF[kind](ON_ITS_SIDE), behind)
    header = images.inspect(data, LIMITS)
    found = images.decode(data, LIMITS, rgb)
    assert (header.width, header.height) == (found.width, found.height) == (48, 64)
    assert np.array_equal(found.pixels, np.rot90(PIXELS, -1))


def test_of_two_orientations_the_last_chunk_counts_and_a_chunk_before_a_text() -> None:
    first = with_chunk(EXIF["a chunk"](ON_ITS_SIDE))
    assert np.array_equal(decoded(with_chunk(EXIF["a chunk"](UPSIDE_DOWN), True, first)), PIXELS[::-1, ::-1])
    assert np.array_equal(decoded(with_chunk(EXIF["a text"](UPSIDE_DOWN), True, first)), np.rot90(PIXELS, -1))


def test_exif_behind_the_pixels_is_all_that_is_moved() -> None:
    exif, other = EXIF["a chunk"](ON_ITS_SIDE), png_chunk(b"tIME", bytes(7))
    data = with_chunk(other + exif + other, behind=True)
    assert formats.readable("PNG", data) == with_chunk(exif, data=with_chunk(other + other, behind=True))


def test_nothing_behind_the_end_chunk_is_looked_at() -> None:
    data = PLAIN + damaged(png_chunk(b"tEXt", b"name\0text"))
    assert formats.readable("PNG", data) is data
    assert np.array_equal(decoded(data), PIXELS)


def test_a_whole_orientation_is_heeded_beside_damaged_chunks() -> None:
    data = encoded(PIXELS, "PNG", exif=turned(3))
    assert np.array_equal(decoded(with_chunk(BROKEN["gAMA of 2 bytes"], data=data)), PIXELS[::-1, ::-1])


def test_an_animation_gives_the_same_picture_with_every_part_of_it_damaged() -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    for kind in (b"acTL", b"fcTL", b"fdAT"):
        bad = bytearray(data)
        bad[data.index(kind) + 5] ^= 0xFF
        assert np.array_equal(decoded(bytes(bad)), PIXELS)


def test_the_documents_name_what_does_not_matter() -> None:
    text = section(REPOSITORY / "docs" / "images.md", "PNG").text
    assert all(f"`{name.decode()}`" in text for name in (*SHORT, b"iCCP", b"tRNS"))
