"""HEIC and AVIF: the pixels that files of every kind give, upright, in RGB."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from imagefeatures import formats, images
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from support.heif_files import avif, heic, smooth
from support.photos import SIDE, UPRIGHT, encoded, turned
from support.shared import decode

LIMITS = Limits()


def close(data: bytes, expected: np.ndarray, most: float = 3.0) -> bool:
    """Whether the file's picture is this one, as far as its compression lets it."""
    found = decode(data, LIMITS).pixels.astype(int)
    wanted = np.asarray(Image.fromarray(expected).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(int)
    return bool(np.abs(found - wanted).mean() < most)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_picture_is_set_upright_once(orientation: int, kind: str) -> None:
    """Both writers turn by properties of the file and keep the same orientation in EXIF, as phones do."""
    options = {"quality": 95, "exif": turned(orientation).tobytes()} | ({"speed": 10} if kind == "AVIF" else {})
    data = encoded(smooth(), kind, **options)
    upright = np.ascontiguousarray(UPRIGHT[orientation](smooth()))
    header, decoded = inspect(data, LIMITS), decode(data, LIMITS)
    assert (header.width, header.height) == (decoded.width, decoded.height) == (upright.shape[1], upright.shape[0])
    assert close(data, upright)
    assert len({bool(close(data, np.ascontiguousarray(turn(smooth())))) for turn in UPRIGHT.values()}) == 2


def test_an_avif_of_the_matrix_ycgco_is_read_by_its_definition() -> None:
    written = encoded(Image.fromarray(smooth()), "AVIF", quality=100, subsampling="4:4:4", speed=10)
    at = written.index(b"nclx") + 8
    planes, found = (written[:at] + number.to_bytes(2) + written[at + 2 :] for number in (0, 8))
    with Image.open(io.BytesIO(planes), formats=("AVIF",)) as image:  # the matrix of RGB itself shows the planes
        co, y, cg = np.moveaxis(np.asarray(image).astype(int) - (128, 0, 128), -1, 0)
    expected = np.stack([y - cg + co, y + cg, y - cg - co], axis=-1).clip(0, 255).astype(np.uint8)
    assert close(found, expected, most=1.0)
    assert not close(written, expected)


EXIF = b"MM\0*\0\0\0\x08\0\1\x01\x13\0\3\0\0\0\1\0\6\0\0\0\0\0\0" + b"beyond the tags" * 3
"""An EXIF block whose only tag is one away from being an orientation of 6."""


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_an_orientation_in_exif_alone_turns_nothing(kind: str) -> None:
    plain = encoded(Image.fromarray(smooth()), kind, exif=EXIF, quality=95)
    stale = plain.replace(b"\x01\x13\0\3", b"\x01\x12\0\3")
    assert stale != plain
    assert inspect(stale, LIMITS) == inspect(plain, LIMITS)
    assert np.array_equal(decode(stale, LIMITS).pixels, decode(plain, LIMITS).pixels)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("exif", [b"garbage that is no TIFF", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_rejects_nothing(exif: bytes, kind: str) -> None:
    whole = encoded(Image.fromarray(smooth()), kind, exif=EXIF, quality=95)
    start = whole.index(EXIF)
    damaged = whole[:start] + exif + whole[start + len(exif) :]
    assert inspect(damaged, LIMITS) == inspect(whole, LIMITS)
    assert np.array_equal(decode(damaged, LIMITS).pixels, decode(whole, LIMITS).pixels)


@pytest.mark.parametrize(("mode", "found"), [("L", "L"), ("LA", "RGBA"), ("RGBA", "RGBA"), ("RGBa", "RGBa")])
def test_grey_and_alpha_in_a_heic(mode: str, found: str) -> None:
    rgba = Image.fromarray(np.dstack([smooth(), np.full((96, 160), 200, np.uint8)]))
    image = rgba.convert("RGBa") if mode == "RGBa" else rgba.convert(mode)
    data = encoded(image, "HEIC", quality=95)
    assert (inspect(data, LIMITS).mode, decode(data, LIMITS).mode) == (found, found)
    colours = smooth() if mode.startswith("RGB") else np.asarray(image.getchannel(0).convert("RGB"))
    assert close(data, colours)


@pytest.mark.parametrize(("mode", "found"), [("L", "L"), ("LA", "RGBA"), ("RGBA", "RGBA")])
def test_grey_and_alpha_in_an_avif(mode: str, found: str) -> None:
    image = Image.fromarray(np.dstack([smooth(), np.full((96, 160), 200, np.uint8)])).convert(mode)
    data = encoded(image, "AVIF", quality=95, speed=10)
    assert (inspect(data, LIMITS).mode, decode(data, LIMITS).mode) == (found, found)
    assert close(data, smooth() if mode == "RGBA" else np.asarray(image.getchannel(0).convert("RGB")))


@pytest.mark.parametrize("bits", [10, 12])
def test_grey_of_10_and_12_bits_keeps_the_high_byte(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    grey = (np.arange(SIDE * SIDE, dtype=np.uint32) * 65535 // (SIDE * SIDE - 1)).astype(np.uint16).reshape(SIDE, SIDE)
    data = encoded(Image.fromarray(grey), "HEIC", quality=-1)
    assert decode(data, LIMITS).mode == "L"
    assert np.abs(decode(data, LIMITS).pixels[..., 0].astype(int) - (grey >> 8)).max() <= 1


@pytest.mark.parametrize("bits", [10, 12])
def test_colours_of_10_and_12_bits_are_those_of_8(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    sink = io.BytesIO()
    pillow_heif.encode("RGB;16", (160, 96), (smooth().astype(np.uint16) * 257).tobytes(), sink, quality=95)
    data = sink.getvalue()
    assert data[data.index(b"hvcC") + 21] & 7 == bits - 8
    assert close(data, smooth())


@pytest.mark.parametrize("make", [heic, avif], ids=["HEIC", "AVIF"])
def test_a_file_that_only_says_it_is_heif_is_known_by_what_else_it_is(make: Callable[[], bytes]) -> None:
    plain = make()
    general = plain[:8] + b"mif1" + plain[12:]
    assert inspect(general, LIMITS) == inspect(plain, LIMITS)
    assert np.array_equal(decode(general, LIMITS).pixels, decode(plain, LIMITS).pixels)


def test_the_decoder_sees_neither_metadata_nor_what_is_appended() -> None:
    data = heic(exif=turned(1).tobytes(), xmp=b"<x/>")
    seen = formats.readable("HEIC", data + b"\0\0\0\0SEFH a phone's trailer")
    assert len(seen) == len(data)
    assert b"Exif\0" in data
    assert b"\0\2\0\0Exif" in data
    assert b"\0\0mime" in data
    assert seen.count(b"\0\0skip") == 2
    toned = data.replace(b"\0\2\0\0Exif", b"\0\2\0\0tmap")
    assert formats.readable("HEIC", toned) == seen
    assert np.array_equal(decode(toned, LIMITS).pixels, decode(data, LIMITS).pixels)
    assert formats.readable("JPEG", data) is data


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_a_grid_of_tiles_is_one_picture(chroma: int) -> None:
    data = encoded(smooth(301, 203), "HEIC", quality=95, tile_size=64, chroma=chroma)
    assert data.count(b"hvc1") > 12
    assert inspect(data, LIMITS) == images.Header("HEIC", 301, 203, "RGB")
    assert close(data, smooth(301, 203))


def test_of_several_pictures_the_primary_one_counts() -> None:
    file = pillow_heif.from_pillow(Image.fromarray(smooth()))
    file.add_from_pillow(Image.fromarray(smooth(80, 200)[:, ::-1]))
    for primary, (width, height) in ((0, (160, 96)), (1, (80, 200))):
        sink = io.BytesIO()
        file.save(sink, quality=95, primary_index=primary)
        header = inspect(sink.getvalue(), LIMITS)
        assert (header.width, header.height) == (width, height)


def test_of_a_sequence_the_first_frame_counts() -> None:
    frames = [Image.fromarray(smooth()), Image.fromarray(np.ascontiguousarray(smooth()[:, ::-1]))]
    data = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:], quality=95, speed=10)
    assert data[8:12] == b"avis"
    assert inspect(data, LIMITS) == images.Header("AVIF", 160, 96, "RGB")
    assert close(data, smooth())
