"""Tables with augmented copies as readers, exports, audits and classifiers see them."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import cli, read
from imagefeatures.audits import gallery
from imagefeatures.errors import InputError
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import load_job, plan_job
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from support.photos import encoded, fill, picture
from support.several import FIRST, Lake
from support.shared import PARTITION

COUNT = 12
CHAIN = [{"augment": {"copies": 2, "crop": 0.5, "seed": 3}}, {"resize": {"size": [224, 224]}}]


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    photos = {f"{'ab'[at % 2]}/{at:02}.png": encoded(picture(50 + at, 70, at), "PNG") for at in range(COUNT)}
    lake = Lake(settings, fill(tmp_path / "photos" / PARTITION, photos).parent)
    lake.published(FIRST, preprocess=CHAIN, pixels="keep")
    return lake


def test_readers_have_all_rows_or_pictures_as_they_are_and_a_split_keeps_copies_together(
    lake: Lake, settings: Settings
) -> None:
    whole, plain = (read.open("photos", settings=settings, copies=copies) for copies in (None, False))
    assert (len(whole), len(plain)) == (3 * COUNT, COUNT)
    assert len(read.open("photos", settings=settings, what="pixels", copies=False)) == COUNT
    assert len(read.open("photos", settings=settings, where="copy = 2")) == COUNT
    sides = {}
    for split in ("train", "test"):
        rows = read.table(settings, "photos", split=split, test_share=0.4, columns=("image_id", "copy")).to_pylist()
        sides[split] = {row["image_id"] for row in rows}
        assert sorted((row["image_id"], row["copy"]) for row in rows) == [
            (image_id, number) for image_id in sorted(sides[split]) for number in range(3)
        ]
    assert not sides["train"] & sides["test"] and len(sides["train"] | sides["test"]) == COUNT
    with pytest.raises(InputError, match="copies is 'no'; it may be True or False"):
        read.open("photos", settings=settings, copies="no")  # type: ignore[arg-type]


def test_exports_have_a_picture_before_its_copies_and_their_numbers(lake: Lake, tmp_path: Path) -> None:
    assert cli.main(["export", "photos", "--to", str(tmp_path / "photos.csv"), "--columns", "label"]) == 0
    with (tmp_path / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = [(row["uri"], int(row["copy"])) for row in rows]
    assert keys == sorted(keys) and len(keys) == 3 * COUNT
    table = {(row["uri"], row["copy"]): row["features"] for row in read.table(lake.settings, "photos").to_pylist()}
    assert cli.main(["export", "photos", "--to", str(tmp_path / "photos.npy")]) == 0
    assert np.array_equal(np.load(tmp_path / "photos.npy"), np.array([table[key] for key in keys], np.float32))
    to = ["--to", str(tmp_path / "originals.tar"), "--originals"]
    assert cli.main(["export", "photos", "--what", "pixels", *to]) == 0
    with tarfile.open(tmp_path / "originals.tar") as tar:
        assert len([name for name in tar.getnames() if name.endswith(".png")]) == COUNT


@pytest.mark.long
def test_audits_and_the_judgement_of_a_classifier_take_pictures_as_they_are(lake: Lake, settings: Settings) -> None:
    found = gallery.load(settings, "photos", 2)
    assert found.photos.num_rows == len(found.first) == COUNT
    job = load_job(plan_job("photos", Classify(), ClassifyParams(), settings), settings.lake)
    judged = read.table(settings, "photos", columns=("copy",), **job.selection)
    assert judged["copy"].to_pylist() == [0] * COUNT
