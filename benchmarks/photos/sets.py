"""Sets of photos by size: `make bench SIZES=…` measures over each. Made once, by a recipe, in the cache folder.

    python -m benchmarks.photos.sets SET=COUNT …     make them, and print their bytes

S348 are the demo's photos as they are, each with a comment of its own. All others are crops of the photographs in
Debian's wallpaper packages, resized by Pillow (Lanczos) and encoded anew. A photo is determined by its set and its
number: each has a random generator of its own, so that a larger set has the photos of a smaller one. No two files of a
set are equal: the service would compute the same bytes once. After a change of the recipe the folder of the set in the
cache must be removed.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.photos import read_demo_photos, with_comment
from benchmarks.photos.wallpapers import fetch_wallpapers, label
from imagefeatures.settings import Settings

ORIENTATION, QUARTER_TURN = 0x0112, 6
ASPECT = 4 / 3


@dataclass(frozen=True)
class PhotoSet:
    """width, height: pixels as stored; of the demo's photos those of most. quality: the encoder's, one of them for each
    photo. count: of a full benchmark.

    least_crop: the smallest crop, as a part of the largest that fits; None: as few pixels as the photo has, so that
    nothing is enlarged. noise: standard deviation of noise in grey levels. turned: whether EXIF turns every second one.
    """

    width: int
    height: int
    quality: tuple[int, ...]
    count: int
    suffix: str = ".jpg"
    least_crop: float | None = None
    noise: float = 0
    turned: bool = False


SETS = {
    "S348": PhotoSet(348, 348, (), 20_000),  # the demo's own files
    "S640": PhotoSet(640, 480, (90, 91, 92), 10_000),
    "S1024": PhotoSet(1024, 768, (90, 91, 92), 5_000),
    # Enlarged up to three times. The noise is the sensor's, which an enlargement does not have: with it a file is as
    # large as that of a camera, 3 MB.
    "S12MP": PhotoSet(4000, 3000, (93, 94, 95), 1_000, least_crop=0.6, noise=3, turned=True),
    "PNG1024": PhotoSet(1024, 768, (), 2_000, ".png"),
    "WEBP1024": PhotoSet(1024, 768, (84, 85, 86), 2_000, ".webp"),
}


def make_set(name: str, counts: Iterable[int], cache: Path) -> dict[int, Path]:
    """The folders of the first photos of a set, by their number: `<folder>/<label>/<number>.jpg`, hard links.

    Files that the cache has already are not made again. Raises InputError when the originals cannot be downloaded.
    """
    counts = sorted(set(counts))
    place = cache / "photos" / name
    made = {count: place / str(count) for count in counts}
    if all(folder.is_dir() for folder in made.values()):
        return made
    files = _demo_files(place / "all", counts[-1], cache) if name == "S348" else _crops(name, place, counts[-1], cache)
    for count, folder in made.items():
        draft = place / f"{count}.part"
        shutil.rmtree(draft, ignore_errors=True)
        for file in files[:count]:
            (draft / file.parent.name).mkdir(parents=True, exist_ok=True)
            os.link(file, draft / file.parent.name / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    return made


def _demo_files(folder: Path, count: int, cache: Path) -> list[Path]:
    photos = read_demo_photos(cache)
    files = []
    for number in range(count):
        kind, data = photos[number % len(photos)]
        files.append(folder / kind / f"{number:06d}.jpg")
        _write(files[-1], with_comment(data, f"copy {number}"))
    return files


def _crops(name: str, place: Path, count: int, cache: Path) -> list[Path]:
    originals = fetch_wallpapers(cache)
    files = []
    numbers: dict[Path, dict[int, Path]] = defaultdict(dict)
    for number in range(count):
        original = originals[number % len(originals)]
        files.append(place / "all" / label(original) / f"{number:06d}{SETS[name].suffix}")
        if not files[-1].exists():
            numbers[original][number] = files[-1]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        list(pool.map(partial(_crop_all, name), numbers, numbers.values()))
    return files


def _crop_all(name: str, original: Path, files: dict[int, Path]) -> None:
    """Make photos from one original, which is decoded once. files: number of the photo: its file."""
    photos = SETS[name]
    with Image.open(original) as image:
        picture = image.convert("RGB")
    noise = _noise(photos) if photos.noise else None
    for number, file in files.items():
        chance = random.Random(f"{name} {number}")  # noqa: S311 - a recipe
        _write(file, encoded(picture, photos, chance, number, noise))


def encoded(
    picture: Image.Image, photos: PhotoSet, chance: random.Random, number: int, noise: np.ndarray | None = None
) -> bytes:
    """The file of one photo. picture: RGB. noise: int16 [height, width, 1], shifted at random and added."""
    largest = min(picture.width, picture.height * ASPECT)
    least = min(photos.width, largest) if photos.least_crop is None else photos.least_crop * largest
    width = chance.uniform(least, largest)
    height = width / ASPECT
    left, top = chance.uniform(0, picture.width - width), chance.uniform(0, picture.height - height)
    box = (left, top, min(left + width, picture.width), min(top + height, picture.height))
    crop = picture.resize((photos.width, photos.height), Image.Resampling.LANCZOS, box=box)
    if noise is not None:
        shifted = np.roll(noise, (chance.randrange(photos.height), chance.randrange(photos.width)), (0, 1))
        crop = Image.fromarray(np.clip(np.asarray(crop) + shifted, 0, 255).astype(np.uint8))
    sink, options = io.BytesIO(), {"quality": chance.choice(photos.quality)} if photos.quality else {}
    exif = Image.Exif()
    if photos.turned and number % 2:
        exif[ORIENTATION] = QUARTER_TURN
    crop.save(sink, {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[photos.suffix], exif=exif, **options)
    return sink.getvalue()


def _noise(photos: PhotoSet) -> np.ndarray:
    grey = np.random.default_rng(0).normal(0, photos.noise, (photos.height, photos.width, 1))
    return np.round(grey).astype(np.int16)


def _write(file: Path, data: bytes) -> None:
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_bytes(data)
    draft.replace(file)


def parse_sizes(words: str, images: int = 0) -> dict[str, int]:
    """Set: number of photos. images: for the sets without a number of their own; 0: that of a full benchmark.

    Raises ValueError naming a set that does not exist.

    >>> parse_sizes("S348 S640=300"), parse_sizes("S640,S12MP=40", 200)
    ({'S348': 20000, 'S640': 300}, {'S640': 200, 'S12MP': 40})
    >>> list(parse_sizes("all")) == list(SETS)
    True
    """
    sizes = {}
    for word in list(SETS) if words == "all" else words.replace(",", " ").split():
        name, _, count = word.partition("=")
        if name not in SETS:
            raise ValueError(f"no set {name!r}; there are {', '.join(SETS)}")
        sizes[name] = int(count) if count else images or SETS[name].count
    return sizes


def main(words: str) -> None:
    for name, count in parse_sizes(words).items():
        folder = make_set(name, [count], Settings.from_env().cache)[count]
        size = [file.stat().st_size for file in folder.rglob("*.*") if file.is_file()]
        photos = SETS[name]
        print(
            f"{name}: {len(size):,} files, {photos.width} × {photos.height}, {sum(size) / len(size) / 1000:,.0f} kB "
            f"on average, {sum(size) / len(size) / photos.width / photos.height:.2f} bytes a pixel: {folder}"
        )


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
