"""The compiled resizing gives exactly Pillow's pixels."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from imagefeatures import bicubic, isolation
from imagefeatures.limits import Limits
from imagefeatures.settings import REPOSITORY
from support.resizing import by_pillow, can_be_compiled, noise, sizes
from support.shared import PREPROCESSING

compiled = pytest.mark.skipif(
    bicubic.compiled is None and not can_be_compiled(), reason="it cannot be compiled here: Pillow resizes"
)


@compiled
@pytest.mark.usefixtures("instructions")
def test_every_pixel_equals_pillows() -> None:
    assert bicubic.compiled_is_pillows(224)
    for seed, (height, width) in enumerate(sizes()):
        image = noise(height, width, seed)
        np.testing.assert_array_equal(bicubic.resized(image, 224, 224), by_pillow(image), f"{height} rows of {width}")


@compiled
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("width", [224, 230, 348, 640])
def test_rows_and_columns_are_resized_in_pillows_order(width: int) -> None:
    turn = 2 * width - 224  # above this height, columns come first
    for height in (turn - 1, turn, turn + 1, turn + 2):
        image = noise(height, width, height)
        np.testing.assert_array_equal(bicubic.resized(image, 224, 224), by_pillow(image), f"{height} rows of {width}")


@pytest.mark.parametrize(("height", "width"), [(100, 160), (160, 100), (3, 3), (1, 1)])
def test_an_oblong_and_the_smallest_squares_are_resized_by_pillow(height: int, width: int) -> None:
    image = noise(61, 47)
    expected = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(bicubic.resized(image, height, width), expected)


@compiled
def test_the_compiled_code_serves_squares_from_four_rows_on() -> None:
    assert [bicubic.compiled_is_pillows(side) for side in (1, 3, 4, 5)] == [False, False, True, True]


@compiled
def test_an_image_that_pillow_holds_in_several_memory_blocks_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(2300, 2100)
    expected = by_pillow(image)
    np.testing.assert_array_equal(bicubic.by_compiled(image, 224), expected)
    Image.core.set_use_block_allocator(0)
    try:
        in_blocks = noise(2300, 2100)
        with pytest.raises(ValueError, match="contiguous"):
            bicubic.by_compiled(in_blocks, 224)
        np.testing.assert_array_equal(bicubic.resized(in_blocks, 224, 224), expected)  # by Pillow itself
    finally:
        Image.core.set_use_block_allocator(1)


@compiled
@pytest.mark.usefixtures("instructions")
def test_places_of_many_sizes_equal_pillows() -> None:
    """Fewer taps than four, rows shorter than their taps, and every rest of 64 bytes."""
    for size in (*range(4, 40), 299, 448):
        for height, width in ((5, 7), (size, 3 * size + 1), (2 * size + 1, size + 3), (17 * size, 9)):
            image = noise(height, width, size + width)
            expected = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
            np.testing.assert_array_equal(bicubic.by_compiled(image, size), expected, f"{height} × {width} to {size}")


@compiled
@pytest.mark.parametrize(
    ("given", "shape", "room", "size"),
    [
        (400, (10, 11), 48, 4),  # fewer pixels than the shape says
        (480, (10, 11), 48, 4),  # more
        (440, (11, 10), 47, 4),  # an output buffer that is too small
        (120, (3, 10), 48, 4),  # fewer rows than one kernel needs
        (440, (11, 10), 27, 3),  # an output of fewer rows than it takes at a time
        (0, (-1, 0), 48, 4),
    ],
)
def test_sizes_that_do_not_fit_are_refused(given: int, shape: tuple[int, int], room: int, size: int) -> None:
    with pytest.raises(ValueError, match="sizes"):
        bicubic.compiled.bicubic(os.urandom(given), shape, bytearray(room), size)


@compiled
def test_a_long_strip_takes_no_more_memory_than_it_has_pixels() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (3_000_000, 4), (9, 99, 199)).save(sink, "PNG")
    batch = isolation.decoder().run([sink.getvalue()], Limits(), PREPROCESSING)  # the decode process may use 2 GiB
    assert batch.records[0]["state"] == isolation.DONE, isolation.rejection(batch.records[0])
    assert (batch.pixels[0] == (9, 99, 199)).all()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    """use(module): replaces the compiled module."""

    def replace(module: object) -> None:
        monkeypatch.setattr(bicubic, "compiled", module)
        bicubic.compiled_is_pillows.cache_clear()

    yield replace
    bicubic.compiled_is_pillows.cache_clear()


def test_without_the_compiled_module_pillow_resizes(use: Callable[[object], None]) -> None:
    use(None)
    image = noise(300, 200)
    np.testing.assert_array_equal(bicubic.resized(image, 224, 224), by_pillow(image))


NOT_COMPILED = """
import sys
sys.modules["imagefeatures._bicubic"] = None  # what Python keeps of a module that is not there
from imagefeatures import bicubic
print(bicubic.resized(bicubic.Image.new("RGB", (300, 200), (9, 99, 199)), 224, 224).mean(axis=(0, 1)).tolist())
"""


def test_where_nothing_could_be_compiled_the_module_is_imported_all_the_same() -> None:
    command = [sys.executable, "-c", NOT_COMPILED]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout == "[9.0, 99.0, 199.0]\n"


@compiled
@pytest.mark.parametrize(("wrong", "height", "width"), [("larger", 61, 47), ("smaller", 300, 260)])
def test_code_that_gives_other_pixels_is_not_used(
    wrong: str, height: int, width: int, use: Callable[[object], None]
) -> None:
    right = bicubic.compiled

    class Wrong:
        @staticmethod
        def bicubic(pixels: memoryview, shape: tuple[int, int], out: np.ndarray, size: int) -> None:
            right.bicubic(pixels, shape, out, size)
            if (shape[0] < size) == (wrong == "larger"):
                out[0] = 7

    use(Wrong)
    image = noise(height, width)
    np.testing.assert_array_equal(bicubic.resized(image, 224, 224), by_pillow(image))
