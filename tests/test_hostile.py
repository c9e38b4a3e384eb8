"""Bad inputs, each with one clear answer: bytes and keys, through ingest, validate and resize."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import ingest, resize, storage, validate
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY
from imagefeatures.shards import read_staged
from photos import ENCODINGS, encoded, fill, jpeg, lab_tiff, picture, png_chunk, png_of, zeros_stream
from shared import MakeRun

GOOD = "good.jpg"


def through(run: Run) -> dict[str, tuple[str, str, str]]:
    """All three steps over all shards: what became of each URI as (step, reason or "ok", detail or mode)."""
    found: dict[str, tuple[str, str, str]] = {}
    for shard in range(ingest.list_source(run, workers=1).shards):
        receipts = [step.run_shard(run, shard) for step in (ingest, validate, resize)]
        rejected = [row for r in receipts if r.rejected for row in read_staged(r.rejected).to_pylist()]
        found |= {row["uri"]: (row["step"], row["reason"], row["detail"]) for row in rejected}
        made = read_staged(receipts[-1].output, ["uri", "mode"]).to_pylist()
        assert not {row["uri"] for row in made} & set(found)
        found |= {row["uri"]: ("resize", "ok", row["mode"]) for row in made}
        assert len(rejected) + len(made) == receipts[0].rows_in
    return found


def cut(name: str) -> Callable[[], bytes]:
    kind, options = ENCODINGS[name]
    return lambda: (data := encoded(picture(), kind, **options))[: len(data) * 2 // 3]


def wrong_crc() -> bytes:
    data = bytearray(encoded(picture(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    return bytes(data)


def with_chunk(*chunks: bytes) -> bytes:
    data = encoded(picture(), "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(chunks) + data[at:]


def four() -> Image.Image:
    return Image.fromarray(np.dstack([picture(), picture(seed=1)[..., 0]]), "CMYK")


NO_TIFF = {"limits": {"formats": ["JPEG", "PNG", "WEBP", "GIF", "BMP"], "max_rejected": 1}}
SMALL = {"limits": {"max_bytes": 20_000, "max_rejected": 1}}

# what it is: (number in the list of hazards, key, its bytes, fields of the dataset, step, reason, detail)
HOSTILE: dict[str, tuple[int, str, Callable[[], bytes], dict[str, Any], str, str, str]] = {
    "0 bytes": (1, "a.jpg", lambda: b"", {}, "ingest", "EMPTY_OBJECT", "0 bytes"),
    "HTML": (2, "a.jpg", lambda: b"<!doctype html><p>no", {}, "validate", "UNSUPPORTED_FORMAT", "an HTML page"),
    "JSON": (2, "a.jpg", lambda: b'{"error": 1}', {}, "validate", "UNSUPPORTED_FORMAT", "JSON text"),
    "PDF": (2, "a.jpg", lambda: b"%PDF-1.7\n", {}, "validate", "UNSUPPORTED_FORMAT", "a PDF document"),
    "SVG": (2, "a.jpg", lambda: b"<svg xmlns=''/>", {}, "validate", "UNSUPPORTED_FORMAT", "an SVG drawing"),
    **{f"cut {name}": (3, "a.jpg", cut(name), {}, "validate", "TRUNCATED", "(bytes|directory)") for name in ENCODINGS},
    "PNG with a wrong CRC": (4, "a.png", wrong_crc, {}, "validate", "CORRUPT", "chunk 'IDAT' at byte .* wrong CRC"),
    "20 000 × 20 000 PNG of 48 kB": (
        5,
        "a.png",
        lambda: png_of(20_000, 20_000, zeros_stream(20_000 * 2_501)),
        {},
        "validate",
        "TOO_MANY_PIXELS",
        "20000 × 20000 = 400,000,000, limits.max_pixels is 50,000,000",
    ),
    "13 000 × 13 000 PNG of 493 kB": (
        6,
        "a.png",
        lambda: png_of(13_000, 13_000, zeros_stream(13_000 * 39_001), depth=8, colour=2),
        {},
        "validate",
        "TOO_MANY_PIXELS",
        "13000 × 13000 = 169,000,000, limits.max_pixels is 50,000,000",
    ),
    "PNG with 70 × 1 MB zTXt": (
        7,
        "a.png",
        lambda: with_chunk(*[png_chunk(b"zTXt", b"k\0\0" + zeros_stream(1_000_000))] * 70),
        {},
        "validate",
        "METADATA_TOO_LARGE",
        "16,777,216 are allowed",
    ),
    "PNG with a 300 MB iCCP": (
        7,
        "a.png",
        lambda: with_chunk(png_chunk(b"iCCP", b"icc\0\0" + zeros_stream(300_000_000))),
        {},
        "validate",
        "METADATA_TOO_LARGE",
        "inflates to more than 1,048,576",
    ),
    "over the byte cap": (
        8,
        "a.bmp",
        lambda: encoded(picture(200, 200), "BMP"),
        SMALL,
        "ingest",
        "TOO_LARGE",
        "120,054 bytes, limits.max_bytes is 20,000",
    ),
    "EPS": (
        9,
        "a.jpg",
        lambda: encoded(picture(), "EPS"),
        {},
        "validate",
        "UNSUPPORTED_FORMAT",
        "a PostScript document",
    ),
    "PSD": (9, "a.jpg", lambda: b"8BPS\0\1" + bytes(60), {}, "validate", "UNSUPPORTED_FORMAT", "a Photoshop document"),
    "FITS": (
        9,
        "a.jpg",
        lambda: b"SIMPLE  =                    T".ljust(2880),
        {},
        "validate",
        "UNSUPPORTED_FORMAT",
        "a FITS image",
    ),
    "TIFF in .png, not allowed": (
        9,
        "a.png",
        lambda: encoded(picture(), "TIFF"),
        NO_TIFF,
        "validate",
        "UNSUPPORTED_FORMAT",
        "found a TIFF image, expected one of JPEG, PNG, WEBP, GIF, BMP$",
    ),
    "TIFF in .png, allowed": (9, "a.png", lambda: encoded(picture(), "TIFF"), {}, "resize", "ok", "RGB"),
    "16-bit grey": (
        12,
        "a.png",
        lambda: encoded(picture()[..., 0].astype(np.uint16) * 257, "PNG"),
        {},
        "resize",
        "ok",
        "I;16",
    ),
    "float": (
        12,
        "a.tif",
        lambda: encoded(picture()[..., 0].astype("f4"), "TIFF"),
        {},
        "validate",
        "UNSUPPORTED_MODE",
        "'F'",
    ),
    "LAB": (12, "a.tif", lab_tiff, {}, "validate", "UNSUPPORTED_MODE", "'LAB'"),
    "CMYK": (12, "a.jpg", lambda: encoded(four()), {}, "resize", "ok", "CMYK"),
    "alpha": (
        12,
        "a.png",
        lambda: encoded(Image.fromarray(picture()).convert("RGBA"), "PNG"),
        {},
        "resize",
        "ok",
        "RGBA",
    ),
    "grey and alpha": (
        12,
        "a.png",
        lambda: encoded(Image.fromarray(picture()).convert("LA"), "PNG"),
        {},
        "resize",
        "ok",
        "LA",
    ),
    "palette": (
        12,
        "a.png",
        lambda: encoded(Image.fromarray(picture()).quantize(16), "PNG", transparency=3),
        {},
        "resize",
        "ok",
        "P",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_input_has_one_clear_answer(
    name: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key, make, fields, step, reason, detail = HOSTILE[name]
    source = fill(tmp_path / "photos", {GOOD: jpeg(), key: make()})
    read: list[str] = []
    fetch = storage.fetch
    monkeypatch.setattr(storage, "fetch", lambda found: (read.append(found.uri), fetch(found))[1])
    found = through(make_run(source, **fields))
    assert found.pop(f"file://{source}/{GOOD}") == ("resize", "ok", "RGB")
    ((uri, answer),) = found.items()
    assert (uri, answer[:2]) == (f"file://{source}/{key}", (step, reason))
    assert re.search(detail, answer[2])
    assert (uri in read) == (step != "ingest")  # what is refused unseen is not downloaded


def test_every_hazard_of_bytes_is_among_them() -> None:
    assert {number for number, *_ in HOSTILE.values()} == {1, 2, 3, 4, 5, 6, 7, 8, 9, 12}


# Keys

ODD_KEYS = [
    "two words.jpg",
    "a+b.jpg",
    "a%20b.jpg",
    "a%2Bb.jpg",
    "a#b.jpg",
    "what?.jpg",
    "a&=b.jpg",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "\U0001f347.jpg",
    "\"quoted\" and 'quoted'.jpg",
    "<img onerror=alert(1)>.jpg",
    "two\nlines.jpg",
    "tab\tand\\backslash.jpg",
    "{partition}{{ ds }}${HOME}.jpg",
    "/".join(["d" * 200] * 5)[:1000] + "/" + "e" * 19 + ".jpg",
]


def test_odd_keys_stay_as_they_are_byte_by_byte(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(ODD_KEYS[-1].encode()) == 1024
    source = fill(tmp_path / "p", {key: jpeg(at) for at, key in enumerate(ODD_KEYS)})
    found = through(make_run(source))
    kept = sum(found.get(f"file://{source}/{key}") == ("resize", "ok", "RGB") for key in ODD_KEYS)
    with capsys.disabled():
        print(f" {kept}/{len(ODD_KEYS)} odd keys kept ", end="")
    assert set(found) == {f"file://{source}/{key}" for key in ODD_KEYS}
    assert kept == len(ODD_KEYS)


def test_a_key_that_is_no_text_is_turned_away_and_named(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {GOOD: jpeg()})
    (Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.jpg"))).write_bytes(jpeg(1))
    found = through(make_run(source))
    assert found.pop(f"file://{source}/{GOOD}")[1] == "ok"
    ((uri, (step, reason, _)),) = found.items()
    assert (step, reason) == ("ingest", "BAD_KEY")
    assert uri.endswith(r"/caf\udce9.jpg")


# No program is ever started for an image

LISTENER = """
import json, pathlib, subprocess, sys
from imagefeatures.datasets import Limits
from imagefeatures.errors import Rejected
from imagefeatures.images import decode, inspect
started = []
events = ("subprocess.Popen", "os.posix_spawn", "os.spawn", "os.exec", "os.fork", "os.forkpty", "os.system", "os.popen")
sys.addaudithook(lambda event, _: started.append(event) if event in events else None)
reasons = []
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for judge in (inspect, decode):
        try:
            judge(path.read_bytes(), Limits())
            reasons.append("passed")
        except Rejected as why:
            reasons.append(why.reason)
during = list(started)
subprocess.run(["true"])
print(json.dumps([reasons, during, bool(started)]))
"""


def test_no_program_is_started_for_an_image_of_any_format(tmp_path: Path) -> None:
    names = ("EPS", "PSD", "FITS", "TIFF in .png, allowed")
    folder = fill(tmp_path / "files", {str(at): HOSTILE[name][2]() for at, name in enumerate(names)})
    said = subprocess.run(
        [sys.executable, "-c", LISTENER, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    reasons, during, heard_one_at_all = json.loads(said)
    assert reasons == ["UNSUPPORTED_FORMAT"] * 6 + ["passed"] * 2
    assert during == []
    assert heard_one_at_all
