"""Mutated images against `inspect` and `decode`: nothing but a result or Rejected may ever come out.

    PYTHONPATH=.:tests python -m support.fuzz_images --count 50000

Every mutation is made of the seed and its number alone, so that a finding is repeated by
`--first NUMBER --count 1`. The work happens in a child process: if it crashes, hangs or runs out of
memory, that number is a finding as well, and the next child goes on behind it.
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
from imagefeatures.datasets import Limits
from imagefeatures.errors import Rejected
from imagefeatures.images import inspect
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
    """What came out of a run. ends: how often which end; bad: number and what happened."""

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


def mutated(seed: int, number: int) -> tuple[str, bytes]:
    """The name of the file that it was, and the bytes that it became."""
    chance = random.Random(f"{seed}/{number}")
    name, data = chance.choice(originals())
    bad = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = _place(chance, len(bad))
        length = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(9):
            case 0:
                bad[at] ^= 1 << chance.randrange(8)
            case 1:
                bad[at] = chance.randrange(256)
            case 2:
                word = chance.choice(WORDS)
                bad[at : at + len(word)] = word
            case 3:
                bad[at:at] = chance.choice(WORDS)
            case 4:
                del bad[at : at + length]
            case 5:
                bad[at:at] = bad[at : at + length]
            case 6:
                other = chance.choice(originals())[1]
                start = chance.randrange(len(other))
                bad[at : at + length] = other[start : start + length]
            case 7:
                bad[at : at + length] = chance.randbytes(length)
            case 8:
                del bad[max(at, 16) :]
        if not bad:
            bad = bytearray(data)
    if bad.startswith(b"\x89PNG") and chance.random() < 0.8:
        _mend_crcs(bad)  # or nothing but the CRC would ever be tested
    return name, bytes(bad)


def try_one(data: bytes) -> str:
    """How it ended: a reason, or "passed". Anything raised beside Rejected comes through."""
    end = ""
    for judge in (inspect, decode):
        try:
            found = judge(data, LIMITS)
            if judge is decode and (found.pixels.shape, found.pixels.dtype) != ((224, 224, 3), np.uint8):
                raise AssertionError(f"pixels of {found.pixels.shape}, {found.pixels.dtype}")
        except Rejected as why:
            end = end or str(why.reason)
    return end or "passed"


def fuzz(seed: int, first: int, count: int) -> Findings:
    """Try a range of mutations, in children that may die."""
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
            at, ends, bad = json.loads(progress.read_text())
            findings.ends.update(ends)
            findings.bad += [tuple(one) for one in bad]
            if child.returncode:
                died = signal.Signals(-child.returncode).name if child.returncode < 0 else child.stderr[-500:]
                findings.bad.append((at, f"the process ended: {died}"))
                at += 1
            findings.runs += at - number
            number = at
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


def _place(chance: random.Random, length: int) -> int:
    """A position: half of them among the first 200 bytes, where the headers stand."""
    return chance.randrange(min(length, 200) if chance.random() < 0.5 else length)


def _mend_crcs(data: bytearray) -> None:
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return
        struct.pack_into(">I", data, at + 8 + length, zlib.crc32(data[at + 4 : at + 8 + length]))
        at += 12 + length


def main() -> int:
    """The command line. Exit status 1 when anything was found."""
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
