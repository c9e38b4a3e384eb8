"""What images.py rejects; it raises nothing but Rejected."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from imagefeatures import images, inflated, streamed
from imagefeatures.errors import Rejected
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from imagefeatures.settings import REPOSITORY
from support.hostile import FILES
from support.photos import ENCODINGS, encoded, fill, lab_tiff, picture, png_chunk, png_of
from support.shared import decode
from support.tiff_files import LZW, RGB, Tiff

LIMITS = Limits()


def why(judge: Callable[[bytes, Limits], object], data: bytes, limits: Limits = LIMITS) -> tuple[Reason, str]:
    with pytest.raises(Rejected) as rejected:
        judge(data, limits)
    return rejected.value.reason, rejected.value.detail


# Modes

UNSUPPORTED = {
    "F": encoded(picture()[..., 0].astype(np.float32) / 255, "TIFF"),
    "I": encoded(picture()[..., 0].astype(np.int32) * 1000, "TIFF"),
    "LAB": lab_tiff(),
}


@pytest.mark.parametrize("mode", UNSUPPORTED)
def test_a_mode_without_a_defined_conversion_is_rejected(mode: str) -> None:
    expected = (Reason.UNSUPPORTED_MODE, f"mode '{mode}' has no defined conversion to RGB")
    assert why(inspect, UNSUPPORTED[mode]) == why(decode, UNSUPPORTED[mode]) == expected


# Sizes


@pytest.mark.parametrize("judge", [inspect, decode])
@pytest.mark.parametrize("side", [20_000, 13_000, 10_000])
def test_an_image_over_the_limit_is_refused_before_a_pixel_is_decoded(judge: Callable, side: int) -> None:
    data = png_of(side, side, b"no image data: decoding it would be found corrupt")
    reason, detail = why(judge, data)
    assert reason is Reason.TOO_MANY_PIXELS
    assert detail == f"{side} × {side} = {side * side:,}, limits.max_pixels is 50,000,000"


def test_the_datasets_limit_is_the_only_one() -> None:
    data = png_of(20_000, 20_000)
    assert inspect(data, Limits(max_pixels=400_000_000)).width == 20_000
    assert why(inspect, data, Limits(max_pixels=399_999_999))[0] is Reason.TOO_MANY_PIXELS


def test_an_image_of_exactly_the_limit_is_decoded() -> None:
    data = encoded(picture(30, 20), "PNG")
    assert decode(data, Limits(max_pixels=600)).width == 30
    assert why(decode, data, Limits(max_pixels=599))[0] is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_inspecting_decodes_no_pixel(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(30, 20), kind)

    def decoded(*_: object) -> None:
        raise OSError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    monkeypatch.setattr(streamed, "_stream", decoded)
    monkeypatch.setattr(inflated, "decoded", decoded)
    assert inspect(data, LIMITS).width == 30
    assert why(decode, data)[1].endswith("decoded")


# Damaged content


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_file_cut_anywhere_is_rejected_as_truncated(name: str) -> None:
    kind, options = ENCODINGS[name]
    data = encoded(picture(), kind, **options)
    for cut in range(12, len(data), max(1, len(data) // 40)):
        assert why(inspect, data[:cut])[0] is Reason.TRUNCATED


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "gif", "bmp", "tiff"])
def test_pixels_that_end_too_early_are_found_by_the_decoder_too(name: str) -> None:
    kind, options = ENCODINGS[name]
    data = encoded(picture(), kind, **options)
    assert why(decode, data[: len(data) // 2])[0] is Reason.TRUNCATED


def test_compressed_pixels_of_a_tiff_that_end_too_early_are_truncated_and_damaged_ones_corrupt() -> None:
    data = Tiff(picture().astype(np.int64), 8, RGB, compression=LZW).bytes()
    assert np.array_equal(images.decode(data, LIMITS, np.asarray).pixels, picture())
    assert why(decode, data[: len(data) * 3 // 4])[0] is Reason.TRUNCATED
    middle = len(data) // 2
    assert why(decode, data[:middle] + b"\xff" * 400 + data[middle + 400 :])[0] is Reason.CORRUPT


def test_compressed_data_that_contradicts_itself_is_corrupt() -> None:
    good_crcs = png_of(64, 48, b"this is not a zlib stream")
    assert inspect(good_crcs, LIMITS).width == 64  # the headers alone look right
    assert why(decode, good_crcs)[0] is Reason.CORRUPT


def test_image_data_that_is_too_short_is_truncated() -> None:
    stream = zlib.compress(b"\0\xaa\x55\xaa\x55\xaa\x55\xaa\x55" * 48, level=0)
    assert decode(png_of(64, 48, stream), LIMITS).mode == "1"
    reason, detail = why(decode, png_of(64, 48, stream[: len(stream) // 2]))
    assert reason is Reason.TRUNCATED
    assert "truncated" in detail


NOTHING_INSIDE = {
    "PNG without a header": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""),
    "PNG of 0 × 0": png_of(0, 0),
    "JPEG without a frame": b"\xff\xd8\xff\xd9",
    "GIF without a frame": b"GIF89a" + b"\0" * 7 + b";",
    "TIFF without a field": b"II*\0\x08\0\0\0" + b"\0" * 6,
    "BMP of nothing": b"BM" + b"\0" * 60,
    "WebP without a frame": b"RIFF\x04\0\0\0WEBP",
}


@pytest.mark.parametrize("data", NOTHING_INSIDE.values(), ids=NOTHING_INSIDE)
def test_a_file_without_an_image_is_corrupt(data: bytes) -> None:
    assert why(inspect, data)[0] is why(decode, data)[0] is Reason.CORRUPT


def test_altered_bytes_give_pixels_or_a_rejection_and_nothing_else() -> None:
    random = np.random.default_rng(2)
    ends: set[str] = set()
    for name, (kind, options) in ENCODINGS.items():
        data = encoded(picture(), kind, **options)
        for _ in range(60):
            bad = bytearray(data)
            for at in random.integers(0, len(bad), 3):
                bad[at] = random.integers(0, 256)
            for judge in (inspect, decode):
                try:
                    judge(bytes(bad), LIMITS)
                    ends.add(f"{name}: passed")
                except Rejected as rejected:
                    ends.add(str(rejected.reason))
    assert {"CORRUPT", "TRUNCATED", "jpeg: passed"} <= ends


def test_only_the_detected_format_is_tried() -> None:
    # Pillow knows PhotoCD by a word at byte 2048 alone, so it would open the file despite the PNG signature.
    data = b"\x89PNG\r\n\x1a\n".ljust(2048) + b"PCD_".ljust(2048)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PCD"
    assert why(decode, data) == (Reason.CORRUPT, "starts as PNG, but its header cannot be read")


def test_metadata_that_pillow_warns_about_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    data = encoded(Image.fromarray(picture()).quantize(16), "PNG", transparency=bytes(range(16)))
    decode(data, LIMITS)
    assert list(recwarn) == []


# No image starts a program

LISTENER = """
import json, pathlib, subprocess, sys
from imagefeatures.limits import Limits
from imagefeatures.errors import Rejected
from imagefeatures import images, inflated, streamed
from imagefeatures.preprocessing import Preprocessing
images.configure_pillow()
started = []
events = ("subprocess.Popen", "os.posix_spawn", "os.spawn", "os.exec", "os.fork", "os.forkpty", "os.system", "os.popen")
sys.addaudithook(lambda event, _: started.append(event) if event in events else None)
reasons = []
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for judge, extra in ((images.inspect, []), (images.decode, [Preprocessing.standard(224, 224)])):
        try:
            judge(path.read_bytes(), Limits(), *extra)
            reasons.append("passed")
        except Rejected as why:
            reasons.append(why.reason)
during = list(started)
subprocess.run(["true"])
print(json.dumps([reasons, during, bool(started)]))
"""


def test_no_program_is_started_for_an_image_of_any_format(tmp_path: Path) -> None:
    names = ("EPS", "PSD", "FITS", "TIFF in .png, allowed")
    folder = fill(tmp_path / "files", {str(at): FILES[name].make() for at, name in enumerate(names)})
    said = subprocess.run(
        [sys.executable, "-c", LISTENER, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    reasons, during, heard_one_at_all = json.loads(said)
    assert reasons == ["UNSUPPORTED_FORMAT"] * 6 + ["passed"] * 2
    assert during == []
    assert heard_one_at_all
