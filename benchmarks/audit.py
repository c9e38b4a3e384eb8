"""What `imagefeatures audit` finds of wrong labels and copies that were planted among the demo's photos.

    python -m benchmarks.audit            three plantings of 50 wrong labels and 50 copies: prints a line for each

A copy is smaller by a third, or compressed again at quality 40, or cropped by 4 % at each side.
"""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.photos import by_label, fetch_photos
from imagefeatures.audits import duplicates, gallery, labels
from imagefeatures.settings import Settings

PLANTED = 50
DATASET = "planted"


@dataclass(frozen=True)
class Found:
    """What an audit found of PLANTED wrong labels and as many copies.

    first_50, first_100: wrong labels among so many photos whose label it doubts most. copies: pairs of a photo and its
    copy. others: pairs of other photos that it took for copies.
    """

    first_50: int
    first_100: int
    copies: int
    others: int


def main(seeds: int = 3) -> None:
    photos = by_label(fetch_photos(Settings.from_env().cache))
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
            found = measure(photos, Path(folder), seed)
            print(
                f"seed {seed}: of {PLANTED} wrong labels {found.first_50} among the first 50, {found.first_100} among "
                f"the first 100; {found.copies} of {PLANTED} copies, {found.others} other pairs",
                flush=True,
            )


def measure(photos: dict[str, list[bytes]], folder: Path, seed: int) -> Found:
    """Plant, publish and audit. photos: the demo's, by label. folder: an empty one, of the photos and the lake."""
    lake = f"file://{folder}/lake"
    wrong, copies = plant(photos, folder / "photos", random.Random(seed))  # noqa: S311
    program = str(Path(sys.executable).with_name("imagefeatures"))
    command = [program, "folder", f"{folder}/photos", "--name", DATASET, "--picture", f"{folder}/p.png"]
    own = os.environ | {"IMAGEFEATURES_LAKE": lake, "IMAGEFEATURES_CATALOG": ""}
    subprocess.run(command, env=own, check=True, capture_output=True)  # noqa: S603 - this file
    gathered = gallery.load(Settings.from_env({"IMAGEFEATURES_LAKE": lake}), DATASET, 10)
    doubted = labels.doubtful(gathered)["uri"].to_pylist()
    pairs = duplicates.find(gathered, 0.9).pairs
    ends = {frozenset(pair) for pair in zip(pairs["uri"].to_pylist(), pairs["other_uri"].to_pylist(), strict=True)}
    first_50, first_100 = (len(wrong & set(doubted[:first])) for first in (50, 100))
    return Found(first_50, first_100, len(ends & copies), len(ends - copies))


def plant(photos: dict[str, list[bytes]], folder: Path, chance: random.Random) -> tuple[set[str], set[frozenset[str]]]:
    """Write the photos. Returns the URIs that lie under a wrong label, and the pairs of a photo and its copy."""
    names = [(label, number) for label in sorted(photos) for number in range(len(photos[label]))]
    chosen = chance.sample(names, 2 * PLANTED)
    misplaced, copied = set(chosen[:PLANTED]), chosen[PLANTED:]
    wrong, copies = set(), set()
    for label, number in names:
        others = [other for other in sorted(photos) if other != label]
        place = folder / (chance.choice(others) if (label, number) in misplaced else label)
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{label.lower()}-{number:03d}.jpg"
        file.write_bytes(photos[label][number])
        if (label, number) in misplaced:
            wrong.add(file.as_uri())
    for nth, (label, number) in enumerate(copied):
        file = folder / label / f"copy-{nth:02d}.jpg"
        file.write_bytes(_copy(photos[label][number], nth % 3))
        copies.add(frozenset((file.as_uri(), file.with_name(f"{label.lower()}-{number:03d}.jpg").as_uri())))
    return wrong, copies


def _copy(data: bytes, kind: int) -> bytes:
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = picture.size
    if kind == 0:
        picture = picture.resize((width * 2 // 3, height * 2 // 3), Image.Resampling.LANCZOS)
    elif kind == 2:
        picture = picture.crop((width // 25, height // 25, width - width // 25, height - height // 25))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=40 if kind == 1 else 90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
