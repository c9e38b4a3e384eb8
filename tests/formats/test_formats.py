"""The container formats: every one is detected, checked to its end, and told from other files."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from PIL import Image

from imagefeatures.errors import Rejected
from imagefeatures.formats import FORMATS, check, detect_format
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.photos import ENCODINGS, encoded, jpeg, picture, png_chunk, turned

LIMITS = Limits()
MAGIC = {"JPEG": 3, "PNG": 8, "WEBP": 12, "GIF": 6, "BMP": 2, "TIFF": 4, "HEIC": 12, "AVIF": 12}
MAGIC_OF_ENCODING = {"jpeg2000": 12, "jpeg2000 codestream": 4}
"""How many first bytes identify a format, or one of its forms."""


def whole(name: str) -> tuple[str, bytes]:
    kind, options = ENCODINGS[name]
    return kind, encoded(picture(), kind, **options)


def magic(name: str) -> int:
    return MAGIC_OF_ENCODING.get(name) or MAGIC[ENCODINGS[name][0]]


def verdict(data: bytes) -> str:
    try:
        return check(data, LIMITS)
    except Rejected as why:
        return str(why.reason)


def test_every_allowed_format_is_tried() -> None:
    assert {kind for kind, _ in ENCODINGS.values()} == set(FORMATS) == {*MAGIC, "JPEG2000"}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_whole_file_is_known_by_its_first_bytes(name: str) -> None:
    kind, data = whole(name)
    assert detect_format(data[: magic(name)]) == check(data, LIMITS) == kind


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_file_cut_at_any_byte_is_truncated(name: str) -> None:
    _, data = whole(name)
    first = magic(name)
    verdicts = [verdict(data[:cut]) for cut in range(len(data))]
    assert set(verdicts[:first]) == {"UNSUPPORTED_FORMAT"}
    wrong = {cut: reason for cut, reason in enumerate(verdicts[first:], first) if reason != "TRUNCATED"}
    assert wrong == {}


def test_an_animation_cut_in_its_second_frame_is_truncated() -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert verdict(data) == kind
        assert verdict(data[: len(data) // 2]) == "TRUNCATED"


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_appended_to_a_whole_file_does_not_matter(name: str) -> None:
    kind, data = whole(name)
    for tail in (b"\0" * 10, b"\n", b"a phone's film of the moment " * 10_000):
        assert verdict(data + tail) == kind


def test_a_jpeg_cut_after_its_embedded_preview_is_truncated() -> None:
    exif = turned(1)
    data = encoded(picture(), exif=exif.tobytes() + jpeg(7, 16, 16))  # a whole small JPEG inside the metadata
    preview_end = data.index(b"\xff\xd9") + 2
    assert preview_end < len(data) - 1000
    assert verdict(data) == "JPEG"
    assert {verdict(data[:cut]) for cut in range(preview_end, preview_end + 1000)} == {"TRUNCATED"}


def test_a_jpeg_with_restart_markers_and_fill_bytes_is_whole() -> None:
    data = encoded(picture(), restart_marker_blocks=1)
    assert b"\xff\xd0" in data
    assert verdict(data) == "JPEG"
    assert verdict(data[:2] + b"\xff\xff\xff" + data[2:]) == "JPEG"  # any marker may be preceded by fill bytes
    assert verdict(data[:-2] + b"\xff\xff\xff\xd9") == "JPEG"


@pytest.mark.parametrize("endless", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\0" * 100, b"\xff\xd8" + b"\xff" * 100_000])
def test_a_jpeg_without_an_image_is_truncated(endless: bytes) -> None:
    assert verdict(endless) == "TRUNCATED"


def test_a_png_with_a_wrong_crc_is_corrupt_and_names_the_chunk() -> None:
    data = encoded(picture(), "PNG")
    name = data.index(b"IDAT")
    for flipped in (name, name + 10, len(data) - 13):  # the name, the data, the CRC before the chunk IEND
        bad = data[:flipped] + bytes([data[flipped] ^ 1]) + data[flipped + 1 :]
        with pytest.raises(Rejected, match="has a wrong CRC") as why:
            check(bad, LIMITS)
        assert why.value.reason is Reason.CORRUPT
    with pytest.raises(Rejected, match=f"PNG chunk 'IDAT' at byte {name - 4} has a wrong CRC"):
        check(data[: name + 10] + bytes([data[name + 10] ^ 1]) + data[name + 11 :], LIMITS)


def test_a_png_without_its_end_chunk_is_truncated() -> None:
    data = encoded(picture(), "PNG")
    end = png_chunk(b"IEND", b"")
    assert data.endswith(end)
    assert verdict(data.removesuffix(end)) == "TRUNCATED"


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("photo.jpg", jpeg())
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"<!DOCTYPE html><p>404 not found", "an HTML page"),
        (b"\n  <HTML><body>", "an HTML page"),
        ("\ufeff<!doctype html><title>é</title>".encode(), "an HTML page"),
        (b'{"error": "forbidden"}', "JSON text"),
        (b'[{"error": 1}]', "JSON text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg/>', "an SVG drawing"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"8BPS\0\1", "a Photoshop document"),
        (zipped(), "a ZIP archive"),
        (gzip.compress(jpeg()), "a gzip file"),
        (b"not an image at all\n", "text, expected"),
        ("Grüße, 世界".encode(), "text, expected"),
        ("Grüße".encode("latin-1"), "text, expected"),
        ("Grüße, 世界".encode("utf-16"), "text in UTF-16, expected"),
        (("ü" * 400).encode()[:513], "text, expected"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a Git LFS pointer, not the file"),
        (b"\0\1\2\3\xff", "unknown bytes (00 01 02 03 ff)"),
        (b"RIFF\0\0\0\0WAVE", "unknown bytes (52 49 46 46 00 00 00 00)"),
        (b"", "unknown bytes ()"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, named: str) -> None:
    with pytest.raises(Rejected) as why:
        check(data, LIMITS)
    assert why.value.reason is Reason.UNSUPPORTED_FORMAT
    assert why.value.detail.startswith(f"found {named}")
    assert why.value.detail.endswith("expected one of JPEG, PNG, WEBP, GIF, BMP, TIFF, HEIC, AVIF, JPEG2000")


@pytest.mark.parametrize("kind", ["PPM", "ICO", "EPS", "PCX", "SGI", "TGA"])
def test_image_formats_that_are_not_allowed_are_unsupported(kind: str) -> None:
    assert verdict(encoded(picture(), kind)) == "UNSUPPORTED_FORMAT"


def test_a_format_is_known_by_its_bytes_and_not_by_a_name() -> None:
    assert (verdict(encoded(picture(), "TIFF")), verdict(encoded(picture(), "PNG"))) == ("TIFF", "PNG")
