"""The compiled decoder is held against Pillow before it is used, and left aside where one of its pixels differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, _imaging

from imagefeatures import bicubic, streamed
from imagefeatures.preprocessing import RGB, Chains, Preprocessing, Stretch
from support.photos import encoded, picture
from support.shared import PREPROCESSING
from support.streaming import by_pillow, outcome

connected = pytest.mark.skipif(streamed._stream is None, reason="it is not compiled here, or Pillow has no libjpeg")

Stream = Callable[..., bool]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Stream | None], None]]:
    """use(function): replaces the compiled one."""

    def replace(function: Stream | None) -> None:
        monkeypatch.setattr(streamed, "_stream", function)
        streamed._is_pillows.cache_clear()

    streamed._is_pillows.cache_clear()
    yield replace
    streamed._is_pillows.cache_clear()


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What `prove` has compared from now on: the filter or the decoder, and the side."""
    asked: list[tuple[str, int]] = []

    def noting(name: str, answer: bool) -> Callable[[int], bool]:
        def ask(side: int) -> bool:
            asked.append((name, side))
            return answer

        return ask

    monkeypatch.setattr(bicubic, "compiled_is_pillows", noting("filter", True))
    monkeypatch.setattr(streamed, "_is_pillows", noting("decoder", True))
    return asked


def test_without_the_library_pillow_decodes(use: Callable[[Stream | None], None]) -> None:
    use(None)
    assert not streamed._is_pillows(224)
    data = encoded(picture(300, 200))
    assert outcome(data) == by_pillow(data)


@connected
@pytest.mark.parametrize(
    "wrong", [*range(1, 9), "cut files", "colour", "grey", "a picture not taken", "the whole square"]
)
def test_code_that_gives_other_pixels_is_not_used(wrong: Any, use: Callable[[Stream | None], None]) -> None:
    """wrong: what it gets wrong, a number for an orientation of EXIF."""
    right = streamed._stream
    assert right is not None

    def stream(data: bytes, shape: tuple[int, ...], orientation: int, out: np.ndarray, side: int) -> bool:
        done = right(data, shape, orientation, out, side)
        if wrong in (orientation, "the whole square", {1: "grey", 3: "colour"}[shape[2]]):
            out[-1, -1, -1] ^= 1
        return (done or wrong == "cut files") and wrong != "a picture not taken"

    use(stream)
    assert not streamed._is_pillows(224)
    for picture_of in (picture(300, 200), picture(300, 200)[..., 0]):
        data = encoded(picture_of)
        assert outcome(data) == by_pillow(data)
        assert outcome(data[:-500]) == by_pillow(data[:-500])
    use(right)
    assert streamed._is_pillows(224)


@connected
def test_the_pictures_tried_are_of_eight_turns_and_of_all_subsamplings(use: Callable[[Stream | None], None]) -> None:
    tried = []

    def stream(data: bytes, shape: tuple[int, ...], orientation: int, out: np.ndarray, side: int) -> bool:
        done = right(data, shape, orientation, out, side)
        tried.append((shape[2], orientation, done))
        return done

    right = streamed._stream
    assert right is not None
    use(stream)
    assert streamed._is_pillows(224)
    whole, cut = tried[::2], tried[1::2]
    assert whole == [(1 if orientation == 8 else 3, orientation, True) for orientation in range(1, 9)]
    assert [(*picture, not done) for *picture, done in cut] == whole
    assert {subsampling for *_, subsampling in streamed._SAMPLES} == {"4:2:0", "4:2:2", "4:4:4", "grey"}
    sizes = [(height, width) for height, width, _ in streamed._SAMPLES]
    assert {(height > 224, width > 224) for height, width in sizes} == {
        (a, b) for a in (False, True) for b in (False, True)
    }
    assert {height > width for height, width in sizes} == {False, True}


@connected
def test_the_smallest_square_has_four_pixels_a_side(use: Callable[[Stream | None], None]) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("it was asked")

    assert streamed._is_pillows(bicubic.LEAST_SIDE)
    use(never)
    assert not streamed._is_pillows(bicubic.LEAST_SIDE - 1)


SQUARE, OBLONG = Preprocessing.standard(96, 96), Preprocessing.standard(96, 97)


@pytest.mark.parametrize(
    ("rule", "compared"),
    [
        (SQUARE, [("filter", 96), ("decoder", 96)]),
        (OBLONG, []),
        (Preprocessing(chain=(RGB(), Stretch(height=96, width=96))), []),
        (Chains((SQUARE, OBLONG, PREPROCESSING)), [("filter", 96), ("filter", 224)]),
        (SimpleNamespace(), []),  # a rule for pictures of bands
    ],
)
def test_what_a_rule_uses_is_compared(
    rule: Any, compared: list[tuple[str, int]], proven: list[tuple[str, int]]
) -> None:
    streamed.prove(rule)
    assert proven == compared


def test_without_the_filter_the_decoder_is_not_compared(
    proven: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bicubic, "compiled_is_pillows", lambda side: False)
    streamed.prove(SQUARE)
    assert not proven


def test_memory_that_is_short_then_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(side: int) -> bool:
        raise MemoryError

    monkeypatch.setattr(bicubic, "compiled_is_pillows", short)
    streamed.prove(SQUARE)


def test_pictures_of_other_modes_are_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_is_pillows", lambda side: True)
    for mode in ("CMYK", "YCbCr", "P", "1"):
        assert streamed.pixels(b"", Image.new(mode, (5, 5)), 1, SQUARE) is None


def test_the_compiled_code_is_used_where_it_finds_pillows_library(monkeypatch: pytest.MonkeyPatch) -> None:
    found = bicubic.compiled is not None and bicubic.compiled.connect(_imaging.__file__)
    assert (streamed._stream is not None) == found
    asked: list[str] = []

    def connect(path: str) -> bool:
        asked.append(path)
        return len(asked) > 1

    for compiled in (None, SimpleNamespace(), SimpleNamespace(connect=connect, stream=len)):
        monkeypatch.setattr(bicubic, "compiled", compiled)
        assert streamed._connected() is None
    assert streamed._connected() is len
    assert asked == [_imaging.__file__] * 2
