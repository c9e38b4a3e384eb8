"""The corpus run: the test images of eight imaging libraries among 500 good photos, through the real Spark jobs.

Prints, as Markdown, what became of them and a list of checks; ends with status 1 if one of the checks fails.

    make test-corpora
    .venv/bin/python tests/suites/corpora/run.py --keep FOLDER   # and leave the lake and the logs there, to look at
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

import report
from demo.photos import fetch_photos
from fetch import CORPORA, fetch_archives, unpack
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.prepare import prepare
from imagefeatures.settings import Settings
from pipeline import run_through
from watch import oom_kills

MODEL = BACKBONES[DEFAULT]
PHOTO_COUNT = 500
LABEL = r"/objects/[0-9a-f]{2}/([^/]+)/"  # the corpus


def main(folder: Path) -> int:
    """Lay out, run twice, compare. Returns the exit status."""
    settings = Settings(f"file://{folder}/lake", f"sqlite:///{folder}/catalog.db", folder, Settings.from_env().cache)
    archives = fetch_archives(settings.cache)
    objects = folder / "objects"
    files = [*_lay_out_corpora(archives, objects), *_lay_out_photos(fetch_photos(settings.cache), objects)]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets at length
    prepare(MODEL, MODEL.preprocessing, settings.lake, settings.cache)
    kills = oom_kills()
    mixed = run_through(_dataset(objects, "*"), "mixed", settings)
    alone = run_through(_dataset(objects, f"*/{report.PHOTOS}/*"), "alone", settings)
    listed = {f"file://{path}": path.relative_to(objects).parts[1] for path in files}
    print(report.table(mixed, listed, archives), end="\n\n")
    checks = report.checks(mixed, alone, listed, oom_kills() - kills)
    print(report.judged(checks), report.steps(mixed), report.summary(mixed, len(listed)), sep="\n\n")
    return 0 if all(check.held for check in checks) else 1


def _lay_out_corpora(archives: dict[str, Path], objects: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-", dir=objects.parent) as place:
        for corpus in CORPORA:
            unpacked = Path(place) / corpus.name
            for name in unpack(archives[corpus.name], corpus.folders, unpacked):
                yield (unpacked / name).rename(_place(objects, corpus.name, name))


def _lay_out_photos(parquet: Path, objects: Path) -> Iterator[Path]:
    images = pq.read_table(parquet, columns=["image_data"])["image_data"].to_pylist()
    unique = {hashlib.sha256(data).hexdigest(): data for data in images}
    for digest, data in sorted(unique.items())[:PHOTO_COUNT]:
        path = _place(objects, report.PHOTOS, Path(f"{digest}.jpg"))
        path.write_bytes(data)
        yield path


def _place(objects: Path, corpus: str, name: Path) -> Path:
    """`<objects>/<two hex digits>/<corpus>/<name>`: the digits shuffle the corpora, so that every shard has of all."""
    path = objects / hashlib.sha256(f"{corpus}/{name}".encode()).hexdigest()[:2] / corpus / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _dataset(objects: Path, pattern: str) -> Dataset:
    # Nothing is reused: the photos alone are computed anew, or there would be nothing to compare.
    rules = {"pattern": pattern, "label": LABEL, "limits": {"max_rejected": 1.0}, "reuse": False}
    return Dataset.model_validate({"name": "corpora", "source": f"file://{objects}/", **rules})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an empty folder to work in, and to leave behind")
    keep = parser.parse_args().keep
    with contextlib.nullcontext(keep) if keep else tempfile.TemporaryDirectory(prefix="imagefeatures-") as place:
        try:
            sys.exit(main(Path(place).resolve()))
        except InputError as error:
            sys.exit(f"{type(error).__name__}: {error}")
