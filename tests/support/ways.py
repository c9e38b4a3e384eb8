"""Every image of the corpora, decoded both ways: as ever, and by Pillow alone, each in a decode process.

    PYTHONPATH=.:tests python -m support.ways [folder …]

It prints each file whose verdict, size, mode, detail or pixels differ, and how many were tried. Without folders it
takes the corpora of `make test-corpora`, which it downloads where they are not kept.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from imagefeatures import images, inflated, isolation, streamed, webp
from imagefeatures.isolation import Isolated
from imagefeatures.limits import FORMATS, Limits
from imagefeatures.preprocessing import PixelRule
from imagefeatures.settings import Settings
from suites.corpora import fetch
from support.shared import PREPROCESSING

LIMITS = Limits(formats=FORMATS, decode_seconds=60)
FILES = 100
"""So many are decoded in one batch."""


def by_pillow(data: bytes, limits: Limits, preprocessing: PixelRule) -> images.Decoded:
    """images.decode without the ways of our own, in a process that decodes in no other way."""
    streamed.pixels = lambda *_: None  # type: ignore[assignment]
    for module in (inflated, webp):
        module.decoded = lambda *_: None
    return images.decode(data, limits, preprocessing)


def main(folders: Iterable[Path]) -> int:
    """Compare all files. Returns how many differ."""
    ways = Isolated(images.decode), Isolated(by_pillow)
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    met: Counter[str] = Counter()
    differing = 0
    for first in range(0, len(files), FILES):
        some = files[first : first + FILES]
        blobs = [path.read_bytes() for path in some]
        ours, pillows = (way.run(blobs, LIMITS, PREPROCESSING) for way in ways)
        for number, path in enumerate(some):
            of_ours, of_pillow = ours.records[number], pillows.records[number]
            same = of_ours == of_pillow
            if of_ours["state"] == isolation.DONE:
                same = same and np.array_equal(ours.pixels[number], pillows.pixels[number])
            met[of_ours["reason"].decode() or "passed"] += 1
            if not same:
                differing += 1
                print(f"{path}: {_told(of_ours)} in place of {_told(of_pillow)}", flush=True)
    print(f"{len(files)} files, {differing} differ: {dict(met.most_common())}")
    for way in ways:
        way.stop()
    return differing


def _told(record: np.void) -> str:
    if record["state"] == isolation.REJECTED:
        why = isolation.rejection(record)
        return f"{why.reason} ({why.detail})"
    return f"{record['width']} x {record['height']}, {record['mode'].decode()}"


if __name__ == "__main__":
    from support.ways import main  # a decode process finds its work by the name of a module

    if sys.argv[1:]:
        sys.exit(main(map(Path, sys.argv[1:])) > 0)
    archives = fetch.fetch_archives(Settings.from_env().cache)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as place:
        for corpus in fetch.CORPORA:
            fetch.unpack(archives[corpus.name], corpus.folders, Path(place) / corpus.name)
        sys.exit(main([Path(place)]) > 0)
