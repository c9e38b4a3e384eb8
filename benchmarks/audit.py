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
import time
from pathlib import Path

from PIL import Image

from demo.photos import by_label, fetch_photos
from imagefeatures.audits import duplicates, gallery, labels
from imagefeatures.settings import Settings

PLANTED = 50
DATASET = "planted"


def main(seeds: int = 3) -> None:
    photos = by_label(fetch_photos(Settings.from_env().cache))
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
            os.environ["IMAGEFEATURES_LAKE"] = f"file://{folder}/lake"
            os.environ.pop("IMAGEFEATURES_CATALOG", None)
            wrong, copies = plant(photos, Path(folder, "photos"), random.Random(seed))  # noqa: S311
            program = str(Path(sys.executable).with_name("imagefeatures"))
            command = [program, "folder", f"{folder}/photos", "--name", DATASET]
            subprocess.run([*command, "--picture", f"{folder}/p.png"], check=True, capture_output=True)  # noqa: S603
            print(f"seed {seed}: {found(wrong, copies)}", flush=True)


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


def found(wrong: set[str], copies: set[frozenset[str]]) -> str:
    started = time.process_time()
    photos = gallery.load(Settings.from_env(), DATASET, 10)
    doubted = labels.doubtful(photos)["uri"].to_pylist()
    pairs = duplicates.find(photos, 0.9).pairs
    seconds = time.process_time() - started
    ends = {frozenset(pair) for pair in zip(pairs["uri"].to_pylist(), pairs["other_uri"].to_pylist(), strict=True)}
    among = [len(wrong & set(doubted[:first])) for first in (PLANTED, 2 * PLANTED)]
    return (
        f"of {len(wrong)} wrong labels {among[0]} among the first {PLANTED}, {among[1]} among the first {2 * PLANTED}; "
        f"{len(ends & copies)} of {len(copies)} copies, {len(ends - copies)} other pairs; {seconds:.1f} CPU s"
    )


if __name__ == "__main__":
    main()
