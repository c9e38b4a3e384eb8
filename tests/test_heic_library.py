"""What Pillow's plugin for HEIC asks of libheif: memory is given back, and an answer that cannot be is refused."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from PIL import Image

from imagefeatures import heic
from imagefeatures.errors import Rejected
from support.photos import encoded, picture

DATA = encoded(picture(40, 24), "HEIC")


class Library:
    """libheif, whose calls are counted. instead: functions that stand in the place of some of its own."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.instead: dict[str, Any] = {}
        self._real = heic._library()

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any) -> Any:
            self.calls[name] += 1
            return self.instead.get(name, getattr(self._real, name))(*given)

        return call


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(heic, "_library", lambda: found)
    return found


def opened() -> Image.Image:
    return Image.open(io.BytesIO(DATA), formats=("HEIC",))


def test_a_loaded_picture_gives_access_to_its_pixels() -> None:
    with opened() as image:
        assert image.load()[3, 2] == image.getpixel((3, 2))


@pytest.mark.parametrize("fails", [None, "heif_context_get_primary_image_handle", "heif_decode_image"])
def test_all_memory_is_given_back(fails: str | None, library: Library) -> None:
    """fails: the call that libheif refuses."""
    if fails:
        library.instead[fails] = lambda *_: heic._Error(2, 0, b"Invalid input")
        with pytest.raises(Rejected, match="libheif: Invalid input"):
            opened().load()
    else:
        opened().load()
    calls = library.calls
    assert calls["heif_context_alloc"] == calls["heif_context_free"] == 1
    assert calls["heif_decoding_options_alloc"] == calls["heif_decoding_options_free"]
    assert calls["heif_image_handle_release"] == (fails != "heif_context_get_primary_image_handle")
    assert calls["heif_image_release"] == (not fails)


@pytest.mark.parametrize(
    ("code", "subcode", "reason"),
    [
        (2, 0, "CORRUPT"),
        (2, 100, "TRUNCATED"),
        (2, 129, "CORRUPT"),
        (3, 0, "UNSUPPORTED_FORMAT"),
        (4, 0, "UNSUPPORTED_FORMAT"),
        (6, 0, "OUT_OF_MEMORY"),
        (6, 129, "CORRUPT"),
        (6, 1000, "CORRUPT"),
    ],
)
def test_an_error_of_the_library_has_a_reason(code: int, subcode: int, reason: str, library: Library) -> None:
    library.instead["heif_decode_image"] = lambda *_: heic._Error(code, subcode, b" It \xff said so. ")
    with pytest.raises(Rejected, match=r": libheif: It � said so\.$") as why:
        opened().load()
    assert why.value.reason == reason


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("heif_image_get_width", 41, r"HEIC of \(40, 24\) whose decoder gives \(41, 24\) of 8 bits"),
        ("heif_image_get_height", 23, r"gives \(40, 23\) of 8 bits"),
        ("heif_image_get_bits_per_pixel_range", 10, r"gives \(40, 24\) of 10 bits"),
        ("heif_image_get_plane_readonly", None, r"gives \(40, 24\) of 8 bits"),
    ],
)
def test_another_picture_than_the_file_declares_is_refused(
    name: str, answer: int | None, says: str, library: Library
) -> None:
    library.instead[name] = lambda *_: answer
    with pytest.raises(Rejected, match=says) as why:
        opened().load()
    assert why.value.reason == "CORRUPT"
