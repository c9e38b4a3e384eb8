"""JPEGs of every kind that is decoded row by row, and what both ways of decoding make of one.

    PYTHONPATH=.:tests python -m support.streaming --count 5000

tries random pictures and mutated files from that seed on, and prints what differs.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from unittest import mock

import numpy as np
from PIL import Image

from imagefeatures import images, streamed
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from support.fuzz_images import mutated
from support.photos import encoded, picture, turned

LIMITS = Limits()
SIDES = (224, 224, 224, 224, 4, 96, 225, 299, 331)


def random_jpeg(chance: random.Random, longest: int = 1200) -> bytes:
    """A baseline JPEG: of any size and subsampling, grey or in colours, with or without restart markers, and turned."""
    height, width = (int(longest ** chance.random()) for _ in range(2))
    coarse = chance.choice((1, 4, 16))
    noise = np.random.default_rng(chance.randrange(2**32)).integers(
        0, 256, (height // coarse + 1, width // coarse + 1, 3), np.uint8
    )
    picture = Image.fromarray(noise).resize((width, height))
    options: dict[str, object] = {"quality": chance.choice((5, 30, 75, 90, 100)), "exif": turned(chance.randint(1, 8))}
    if chance.random() < 0.3:
        options["restart_marker_blocks"] = chance.choice((1, 3, 50))
    match chance.randrange(10):
        case 0 | 1:
            picture = picture.convert("L")
        case 2:
            options["keep_rgb"] = True
        case _:
            options["subsampling"] = chance.choice(("4:4:4", "4:2:2", "4:2:0", "4:1:1"))
    return encoded(picture, **options)


def in_three_scans(width: int, height: int) -> bytes:
    """A baseline JPEG whose components come one after the other, each in a scan of its own."""
    greys = [encoded(picture(width, height, seed)[..., 0], quality=90) for seed in range(3)]
    data, starts = greys[0], [grey.index(b"\xff\xda") for grey in greys]
    frame = data.index(b"\xff\xc0")
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    header = b"\xff\xc0\0\x11" + data[frame + 4 : frame + 9] + b"\3" + components
    parts = [data[:frame], header, data[frame + 13 : starts[0]]]
    for number, (grey, start) in enumerate(zip(greys, starts, strict=True), 1):
        parts += [grey[start : start + 5], bytes([number]), grey[start + 6 : -2]]
    return b"".join([*parts, b"\xff\xd9"])


def originals() -> list[tuple[str, bytes]]:
    """Files to mutate: small ones, and one of several of the pieces in which Pillow feeds its decoder."""
    chance = random.Random(8)
    return [("small", random_jpeg(chance, 120)) for _ in range(30)] + [
        ("large", random_jpeg(chance, 700)) for _ in range(10)
    ]


def outcome(data: bytes, side: int = 224) -> tuple[object, ...]:
    """What images.decode makes of a file: the pixels and what goes with them, or the reason and its detail."""
    try:
        decoded = images.decode(data, LIMITS, Preprocessing.standard(side, side))
    except Rejected as why:
        return (why.reason, why.detail)
    return ("passed", decoded.width, decoded.height, decoded.mode, decoded.pixels.tobytes())


def by_pillow(data: bytes, side: int = 224) -> tuple[object, ...]:
    """The same where nothing is decoded row by row."""
    with mock.patch.object(streamed, "_stream", None), mock.patch.object(streamed, "_is_pillows", lambda _: False):
        return outcome(data, side)


def compare(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Decode `count` random and as many mutated JPEGs both ways.

    Returns how often each way and each end was met, and what differed.
    """
    met: Counter[str] = Counter()
    bad: list[str] = []
    asked = streamed._stream
    assert asked is not None

    def counted(*given: object) -> bool:
        done = asked(*given)
        met["streamed" if done else "left to Pillow"] += 1
        return done

    files = originals()
    for side in set(SIDES):
        streamed._is_pillows(side)  # not to be counted
    with mock.patch.object(streamed, "_stream", counted):
        for number in range(seed, seed + count):
            chance = random.Random(number)
            side = chance.choice(SIDES)
            for kind, data in (("random", random_jpeg(chance)), ("mutated", mutated(3, number, files)[1])):
                found, expected = outcome(data, side), by_pillow(data, side)
                met[f"{kind}: {found[0]}"] += 1
                if found != expected:
                    bad.append(f"{kind} {number}, side {side}: {found[:4]} and not {expected[:4]}")
    return met, bad


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5_000)
    given = parser.parse_args()
    images.configure_pillow()
    met, bad = compare(given.seed, given.count)
    print(f"{2 * given.count:,} files, {len(bad)} differ; " + ", ".join(f"{end} {n:,}" for end, n in met.most_common()))
    print("\n".join(bad), end="")


if __name__ == "__main__":
    main()
