"""What holds after Pillow has opened a file too, whatever our own look at its header found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
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


@pytest.mark.parametrize("judge", [inspect, decode])
def test_a_size_at_which_pillow_itself_stops_is_too_many_pixels(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = dataclasses.replace(formats._PARSERS["PNG"], size=lambda _: None)
    monkeypatch.setitem(formats._PARSERS, "PNG", unseen)
    reason, detail = why(judge, png_of(100_000, 50_000, b"no image data: decoding it would be found corrupt"))
    assert reason is Reason.TOO_MANY_PIXELS
    assert "(5000000000 pixels) exceeds limit of 4294967296 pixels" in detail  # twice the largest limits.max_pixels


@pytest.mark.parametrize("judge", [inspect, decode])
def test_a_mode_that_only_pillow_sees_is_held_against_the_rules(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = dataclasses.replace(formats._PARSERS["TIFF"], check=lambda *_: None, check_mode=lambda _: None)
    monkeypatch.setitem(formats._PARSERS, "TIFF", unseen)
    data = encoded(picture()[..., 0].astype(np.int32) * 1000, "TIFF")
    assert why(judge, data) == (Reason.UNSUPPORTED_MODE, "mode 'I' has no defined conversion to RGB")


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


def test_what_a_decoder_has_not_been_built_for_is_an_unsupported_format(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise ValueError("Failed to decode frame 0: Not implemented")  # libavif's words

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    expected = (Reason.UNSUPPORTED_FORMAT, "ValueError: Failed to decode frame 0: Not implemented")
    assert why(decode, encoded(picture(30, 20), "BMP")) == expected
