"""What holds after Pillow has opened a file too, whatever our own look at its header found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PIL import Image, ImageFile

from imagefeatures import formats
from imagefeatures.errors import Rejected
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.photos import encoded, picture, png_of
from support.shared import decode

LIMITS = Limits()
Judge = Callable[[bytes, Limits], object]


def why(judge: Judge, data: bytes) -> tuple[Reason, str]:
    with pytest.raises(Rejected) as rejected:
        judge(data, LIMITS)
    return rejected.value.reason, rejected.value.detail


@pytest.mark.parametrize("judge", [inspect, decode])
def test_a_size_that_only_pillow_sees_is_held_against_the_limit_before_a_pixel_is_decoded(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = dataclasses.replace(formats._PARSERS["PNG"], size=lambda _: None)
    monkeypatch.setitem(formats._PARSERS, "PNG", unseen)
    data = png_of(20_000, 20_000, b"no image data: decoding it would be found corrupt")
    detail = "20000 × 20000 = 400,000,000, limits.max_pixels is 50,000,000"
    assert why(judge, data) == (Reason.TOO_MANY_PIXELS, detail)


@pytest.mark.parametrize("moment", ["open", "load"])
def test_a_decoder_that_finds_no_memory_is_not_a_corrupt_image(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(*((Image, "open") if moment == "open" else (ImageFile.ImageFile, "load")), too_much)
    expected = (Reason.OUT_OF_MEMORY, "the decoder asked for more memory than there is")
    assert why(decode, encoded(picture(30, 20), "BMP")) == expected


@pytest.mark.parametrize("error", [NameError("undefined"), ImportError("missing")])
def test_a_mistake_in_the_code_is_not_a_corrupt_image(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", mistaken)
    with pytest.raises(type(error), match=str(error)):
        decode(encoded(picture(30, 20), "BMP"), LIMITS)
