"""A format is known by its first bytes, HEIC and AVIF by their brands; and whether a dataset allows it."""

from __future__ import annotations

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import check_header, detect_format
from imagefeatures.formats.limits import Metadata, check_pixels
from imagefeatures.limits import FORMATS, Limits
from support.photos import encoded, picture, png_of


def ftyp(brand: bytes, *others: bytes, size: int | None = None) -> bytes:
    content = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (4 + len(content) if size is None else size).to_bytes(4) + content


def found(data: bytes) -> str:
    try:
        return detect_format(data)
    except Rejected as why:
        assert why.reason == "UNSUPPORTED_FORMAT"
        return ""


SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"RIFF1234WEBP": "WEBP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ": "JPEG2000",
}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_format_is_known_by_every_byte_of_its_signature(signature: bytes) -> None:
    assert found(signature) == found(signature + b"and more") == SIGNATURES[signature]
    for position in range(12 if signature.startswith(b"\0") else len(signature)):
        other = bytearray(signature)
        other[position] ^= 0x10
        assert found(bytes(other)) == ("WEBP" if signature.startswith(b"RIFF") and 4 <= position < 8 else "")


def test_motion_jpeg_2000_and_its_documents_are_no_images() -> None:
    for brand, kind in ((b"mjp2", ""), (b"jpm ", ""), (b"jp2 ", "JPEG2000"), (b"jpx ", "JPEG2000")):
        assert found(b"\0\0\0\x0cjP  \r\n\x87\n" + ftyp(brand)) == kind


HEIC = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]
AVIF = [b"avif", b"avis"]


@pytest.mark.parametrize("brand", [*HEIC, *AVIF])
def test_heic_and_avif_are_known_by_their_brand_or_by_those_they_are_compatible_with(brand: bytes) -> None:
    kind = "HEIC" if brand in HEIC else "AVIF"
    assert found(ftyp(brand)) == found(ftyp(brand, b"heic", b"avif")) == kind
    for general in (b"mif1", b"mif2", b"msf1"):
        assert found(ftyp(general, brand)) == found(ftyp(general, b"miaf", brand)) == kind
        assert found(ftyp(general, brand, b"miaf")) == found(ftyp(general, b"miaf", brand) + b"more") == kind
        assert found(ftyp(general)) == found(ftyp(general, b"miaf")) == ""
        assert found(ftyp(general, b"miaf") + brand) == ""  # behind the box
        assert found(ftyp(general, b"", brand, size=10**6)) == kind
        assert found(ftyp(general, *[b"miaf"] * 123, brand)) == kind  # the last of the first 512 bytes
        assert found(ftyp(general, *[b"miaf"] * 124, brand)) == ""
        assert found(ftyp(general, brand)[:-1]) == ""
    assert found(ftyp(b"mp42", brand)) == ""


def test_a_file_of_both_kinds_is_heic() -> None:
    assert found(ftyp(b"mif1", b"avif", b"heic")) == "HEIC"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_format_that_a_dataset_does_not_allow_is_named(kind: str) -> None:
    data = encoded(picture(), kind)
    assert detect_format(data, [kind]) == check_header(data, Limits(formats=(kind,))) == kind
    others = [name for name in FORMATS if name != kind]
    with pytest.raises(Rejected) as why:
        detect_format(data, others)
    article = "an" if kind == "AVIF" else "a"
    detail = f"found {article} {kind} image, expected one of {', '.join(others)}"
    assert (why.value.reason, why.value.detail) == ("UNSUPPORTED_FORMAT", detail)


def test_an_image_may_have_as_many_pixels_and_bytes_of_metadata_as_the_limits_say() -> None:
    check_pixels(20, 30, Limits(max_pixels=600))
    with pytest.raises(Rejected, match=r"TOO_MANY_PIXELS: 20 × 30 = 600, limits\.max_pixels is 599"):
        check_pixels(20, 30, Limits(max_pixels=599))
    with pytest.raises(Rejected, match=r"2000 × 30 = 60,000, limits\.max_pixels is 59,999"):
        check_header(png_of(2000, 30), Limits(max_pixels=59_999))
    metadata = Metadata("PNG", Limits(max_metadata_bytes=1000))
    metadata.add(400)
    metadata.add(600)
    metadata.add(0)
    with pytest.raises(Rejected) as much:
        metadata.add(1)
    detail = "PNG with 1,001 bytes of metadata or more, 1,000 are allowed (limits.max_metadata_bytes)"
    assert (much.value.reason, much.value.detail) == ("METADATA_TOO_LARGE", detail)
