"""Pillow's plugin for HEIC: what libheif refuses, and a machine without it.

What it reads right: tests/formats/test_heif_pixels.py.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefeatures import batches, heic, images, isolation
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from support.photos import encoded, jpeg, picture, real_photos
from support.shared import PREPROCESSING, decode

LIMITS = Limits()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("HEIC",))


def test_a_real_photo_is_decoded_as_it_was() -> None:
    with Image.open(real_photos()[0]) as photo:
        pixels = np.asarray(photo.crop((200, 100, 440, 260)))
    with opened(encoded(pixels, "HEIC", quality=95)) as image:
        assert (image.format, image.size, image.mode) == ("HEIC", (240, 160), "RGB")
        image.load()
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 3


def test_it_is_decoded_without_a_thread_behind_the_filter_of_system_calls() -> None:
    data = [encoded(picture(150, 100), "HEIC", quality=90, **more) for more in ({}, {"tile_size": 64})]
    process = isolation.Isolated(images.decode)
    batch = process.run(data, LIMITS, PREPROCESSING)
    assert (batch.records["state"] == batches.DONE).all(), batch.records["detail"]
    for index, one in enumerate(data):
        np.testing.assert_array_equal(batch.pixels[index], decode(one, LIMITS).pixels)
    assert len(list(Path(f"/proc/{int(batch.pid[0])}/task").iterdir())) <= 2  # an allocator has one of its own
    process.stop()


def test_what_libheif_refuses_is_a_rejection_with_its_words() -> None:
    whole = encoded(picture(), "HEIC")
    start = whole.index(b"mdat") + 4
    for damaged in (whole[:start] + bytes(len(whole) - start), whole[:start] + b"\xff" * (len(whole) - start)):
        with pytest.raises(Rejected, match="libheif: ") as why:
            decode(damaged, LIMITS)
        assert why.value.reason in ("CORRUPT", "TRUNCATED")


WHOLE = encoded(picture(160, 96), "HEIC")
SIZE_AT = WHOLE.index(b"ispe") + 8


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (
            WHOLE[:8] + b"abcd" * (WHOLE[3] // 4 - 2) + WHOLE[WHOLE[3] :],
            "UNSUPPORTED_FORMAT",
            "Unsupported file-type: ",
        ),
        (WHOLE.replace(b"hvc", b"vvc"), "UNSUPPORTED_FORMAT", "Unsupported feature: "),
        (WHOLE[: len(WHOLE) // 2], "TRUNCATED", "Invalid input: Unexpected end of file: "),
        (
            WHOLE[:SIZE_AT] + bytes([0, 0, 0, 168]) + WHOLE[SIZE_AT + 4 :],
            "CORRUPT",
            "Invalid input: Invalid image size",
        ),
    ],
    ids=["no brand of HEIC", "another codec", "half a file", "another width"],
)
def test_the_reason_is_that_of_libheifs_error(data: bytes, reason: str, says: str) -> None:
    with pytest.raises(Rejected, match=f"libheif: {says}") as why:
        opened(data).load()
    assert why.value.reason == reason


def test_every_picture_gives_its_memory_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    data = encoded(picture(400, 300), "HEIC")  # half a megabyte for each copy of its pixels
    for _ in range(5):
        decode(data, LIMITS)
    before = resident()
    for _ in range(50):
        with opened(data):
            pass
        decode(data, LIMITS)
    assert (resident() - before) * 4096 < 12_000_000


WITHOUT = """
import sys
sys.modules["_pillow_heif"] = None
from imagefeatures import images
from imagefeatures.limits import Limits
images.configure_pillow()
print(images.inspect(JPEG, Limits()).format)
images.inspect(sys.stdin.buffer.read(), Limits())
"""


def test_where_pillow_heif_is_not_installed_all_else_is_read() -> None:
    code = WITHOUT.replace("JPEG", repr(jpeg()))
    done = subprocess.run(
        [sys.executable, "-c", code], input=encoded(picture(), "HEIC"), capture_output=True, check=False
    )
    assert done.stdout == b"JPEG\n", done.stderr.decode()[-500:]
    assert done.stderr.decode().splitlines()[-1].startswith("ImportError: ")
    assert "install what reads HEIC, or leave it out of limits.formats" in done.stderr.decode()


def test_the_options_are_those_of_the_library_that_is_installed() -> None:
    options = heic._library().heif_decoding_options_alloc()
    assert options.contents.version >= 10
    assert options.contents.color_conversion_options[1:3] == [2, 2]  # averages down, linear up: the library's defaults
    assert (options.contents.num_codec_threads, options.contents.strict_decoding) == (0, 0)
    heic._library().heif_decoding_options_free(options)
