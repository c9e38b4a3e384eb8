"""Mutated images for `inspect` and `decode`, which must either return a result or raise Rejected.

    PYTHONPATH=.:tests python -m support.fuzz_images --count 50000

A mutation depends only on the seed and its number, so that `--first NUMBER --count 1` reproduces a finding.
The work happens in a child process. A mutation that crashes it, hangs it or exhausts its memory is a finding
too, and the next child continues with the next number.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.settings import REPOSITORY
from support.photos import ENCODINGS, encoded, lab_tiff, picture, turned
from support.shared import decode

LIMITS = Limits(max_pixels=2_000_000)
SECONDS = 20  # for one mutation: longer is a hang
MEMORY = 2 * 2**30
WORDS = [b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"\xff\xd8", b"\xff\xd9"]
WORDS += [
    b"\x80\0\0\0",
    b"\0\x80",
    b"\xff\x7f",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"Exif\0\0",
    b"II*\0",
    b"VP8X",
    b"!\xfe",
    b",",
]


@dataclass
class Findings:
    """The results of a run. ends: a reason or "passed": how often. bad: (number, what happened) of each finding."""

    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)


@lru_cache
def originals() -> list[tuple[str, bytes]]:
    """Small whole files of every format, in many modes, with and without metadata."""
    rgb, frames = picture(48, 40), [Image.fromarray(picture(48, 40, seed)) for seed in range(3)]
    grey, profile = rgb[..., 0], ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    four = np.dstack([rgb, picture(48, 40, 1)[..., 0]])
    made = [(name, encoded(rgb, kind, **options)) for name, (kind, options) in ENCODINGS.items()]
    for kind in ("PNG", "WEBP", "JPEG", "TIFF"):
        made.append((f"{kind} with metadata", encoded(rgb, kind, exif=turned(6), icc_profile=profile)))
    for kind in ("PNG", "GIF", "WEBP", "TIFF"):
        made.append((f"{kind} animation", encoded(frames[0], kind, save_all=True, append_images=frames[1:])))
    for mode in ("1", "L", "P", "LA", "RGBA"):
        image = Image.fromarray(four).convert(mode)
        made += [(f"{mode} {kind}", encoded(image, kind)) for kind in ("PNG", "TIFF")]
    made.append(("16-bit png", encoded(grey.astype(np.uint16) * 257, "PNG")))
    made.append(("16-bit tiff", encoded(grey.astype(np.uint16) * 257, "TIFF")))
    made.append(("float tiff", encoded(grey.astype(np.float32), "TIFF")))
    made.append(("lab tiff", lab_tiff()))
    made += [(f"cmyk {kind}", encoded(Image.fromarray(four, "CMYK"), kind)) for kind in ("JPEG", "TIFF")]
    made += [(f"{mode} bmp", encoded(frames[0].convert(mode), "BMP")) for mode in ("1", "L", "P")]
    made.append(("jpeg with restarts", encoded(rgb, restart_marker_blocks=2, optimize=True)))
    made.append(("mpo", encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])))
    made.append(("jpeg tiff", encoded(rgb, "TIFF", compression="jpeg")))
    made.append(("packed tiff", encoded(rgb, "TIFF", compression="packbits")))
    made.append(("fax tiff", encoded(frames[0].convert("1"), "TIFF", compression="group4")))
    return made


def mutated(seed: int, number: int, files: list[tuple[str, bytes]] | None = None) -> tuple[str, bytes]:
    """A mutation: the name of the original, and the mutated bytes. files: the originals, in place of those above."""
    chance, files = random.Random(f"{seed}/{number}"), files or originals()
    name, data = chance.choice(files)
    bad = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        position = _position(chance, len(bad))
        length = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(9):
            case 0:
                bad[position] ^= 1 << chance.randrange(8)
            case 1:
                bad[position] = chance.randrange(256)
            case 2:
                word = chance.choice(WORDS)
                bad[position : position + len(word)] = word
            case 3:
                bad[position:position] = chance.choice(WORDS)
            case 4:
                del bad[position : position + length]
            case 5:
                bad[position:position] = bad[position : position + length]
            case 6:
                other = chance.choice(files)[1]
                start = chance.randrange(len(other))
                bad[position : position + length] = other[start : start + length]
            case 7:
                bad[position : position + length] = chance.randbytes(length)
            case 8:
                del bad[max(position, 16) :]
        if not bad:
            bad = bytearray(data)
    if bad.startswith(b"\x89PNG") and chance.random() < 0.8:
        _mend_crcs(bad)  # with wrong CRCs nothing else would be tested
    return name, bytes(bad)


def try_one(data: bytes) -> str:
    """The result for one file: a reason, or "passed". Raises everything except Rejected."""
    end = ""
    for judge in (inspect, decode):
        try:
            result = judge(data, LIMITS)
            if judge is decode and (result.pixels.shape, result.pixels.dtype) != ((224, 224, 3), np.uint8):
                raise AssertionError(f"pixels of {result.pixels.shape}, {result.pixels.dtype}")
        except Rejected as why:
            end = end or str(why.reason)
    return end or "passed"


def fuzz(seed: int, first: int, count: int) -> Findings:
    """Try `count` mutations from number `first` on, in child processes."""
    findings, number, end = Findings(), first, first + count
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        while number < end:
            progress.write_text(json.dumps([number, {}, []]))
            arguments = ["--seed", str(seed), "--first", str(number), "--count", str(end - number)]
            path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
            child = subprocess.run(
                [sys.executable, "-m", "support.fuzz_images", *arguments, "--child", str(progress)],
                env=os.environ | {"PYTHONPATH": path},
                check=False,
                capture_output=True,
                text=True,
            )
            reached, ends, bad = json.loads(progress.read_text())
            findings.ends.update(ends)
            findings.bad += [tuple(finding) for finding in bad]
            if child.returncode:
                cause = signal.Signals(-child.returncode).name if child.returncode < 0 else child.stderr[-500:]
                findings.bad.append((reached, f"the process ended: {cause}"))
                reached += 1
            findings.runs += reached - number
            number = reached
    return findings


def _child(seed: int, first: int, count: int, progress: Path) -> None:
    images.configure_pillow()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    ends: Counter[str] = Counter()
    bad: list[tuple[int, str]] = []
    with progress.open("r+") as file:

        def note(number: int) -> None:
            file.seek(0)
            file.write(json.dumps([number, ends, bad]))
            file.truncate()
            file.flush()

        for number in range(first, first + count):
            note(number)
            signal.alarm(SECONDS)
            name, data = mutated(seed, number)
            try:
                ends[try_one(data)] += 1
            except Exception as error:
                bad.append((number, f"{name}: {type(error).__name__}: {error}"))
        note(first + count)


def _position(chance: random.Random, length: int) -> int:
    """A random position; half of the time among the first 200 bytes, where the headers are."""
    return chance.randrange(min(length, 200) if chance.random() < 0.5 else length)


def _mend_crcs(data: bytearray) -> None:
    start = 8
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        if start + 12 + length > len(data):
            return
        struct.pack_into(">I", data, start + 8 + length, zlib.crc32(data[start + 4 : start + 8 + length]))
        start += 12 + length


def main() -> int:
    """The command line. Returns the exit status: 1 when there are findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(given.seed, given.first, given.count, given.child)
        return 0
    start = time.monotonic()
    findings = fuzz(given.seed, given.first, given.count)
    print(f"{findings.runs:,} mutations of {len(originals())} files, seed {given.seed}: {len(findings.bad)} findings")
    print(f"{time.monotonic() - start:.0f} s; " + ", ".join(f"{end} {n:,}" for end, n in findings.ends.most_common()))
    for number, what in findings.bad:
        print(f"  {number}: {what}")
    return 1 if findings.bad else 0


if __name__ == "__main__":
    sys.exit(main())
