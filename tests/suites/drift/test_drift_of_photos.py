"""Drift on real photos: no false alarm among random halves of them, and none missed where they have changed.

The vectors are computed once, by the default model. Each of fifty splits takes one half for the reference, and the
other half, as it is or changed, for the partition.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from demo import photos
from imagefeatures.models import engines, prepare
from imagefeatures.quality.declared import LEVEL
from imagefeatures.quality.drift import Drift, drift
from imagefeatures.quality.sketch import Sketch, Sums
from support.shared import PREPROCESSING, SPEC

SPLITS = 50
BATCH = 64

Change = Callable[[Image.Image], Image.Image]

CHANGES: dict[str, Change] = {
    "as they are": lambda photo: photo,
    "a fifth brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.2),
    "two fifths brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.4),
    "orientation lost": lambda photo: photo.transpose(Image.Transpose.ROTATE_90),
}


@dataclass(frozen=True)
class Photos:
    """labels: of each photo. vectors: float32 [n, 1280] by the name of the change."""

    labels: np.ndarray
    vectors: dict[str, np.ndarray]

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.labels))
        return order[: len(order) // 2], order[len(order) // 2 :], random

    def drift(self, seed: int, now: np.ndarray) -> Drift:
        """Of a partition of these vectors, against the split's other half."""
        partition, reference = Sums(seed), Sums(seed)
        partition.add(now)
        reference.add(self.vectors["as they are"][self.split(seed)[1]])
        assert partition.sketch
        assert reference.sketch
        return drift(partition.sketch, partition.sample, Sketch.pooled([reference.sketch]), LEVEL, seed)


@pytest.fixture(scope="module")
def groceries(prepared_lake: str, weights_cache: Path) -> Photos:
    table = pq.read_table(photos.fetch_photos(weights_cache))
    by_bytes = dict(zip(table["image_data"].to_pylist(), table["finegrained_cat"].to_pylist(), strict=True))
    opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in by_bytes]
    engine = engines.load("openvino", prepare.read_bundle(SPEC, PREPROCESSING, prepared_lake))

    def vectors(change: Change) -> np.ndarray:
        parts = []
        for start in range(0, len(opened), BATCH):
            pixels = [np.asarray(PREPROCESSING(change(photo))) for photo in opened[start : start + BATCH]]
            parts.append(engine.features(np.stack(pixels)))
        return np.concatenate(parts)

    return Photos(np.array(list(by_bytes.values())), {name: vectors(change) for name, change in CHANGES.items()})


def alarms(found: list[Drift]) -> int:
    return sum(one.probability <= LEVEL for one in found)


def told(what: str, found: list[Drift]) -> None:
    scores = sorted(one.score for one in found)
    print(f"{what}: {alarms(found)} of {len(found)} alarms; drift {scores[0]:.4f} to {scores[-1]:.4f}")


def test_halves_of_the_same_photos_raise_no_alarm(groceries: Photos) -> None:
    found = [
        groceries.drift(seed, groceries.vectors["as they are"][groceries.split(seed)[0]]) for seed in range(SPLITS)
    ]
    told("as they are", found)
    assert alarms(found) == 0


@pytest.mark.parametrize("change", list(CHANGES)[1:])
def test_changed_photos_always_do(change: str, groceries: Photos) -> None:
    found = [groceries.drift(seed, groceries.vectors[change][groceries.split(seed)[0]]) for seed in range(SPLITS)]
    told(change, found)
    assert alarms(found) == SPLITS


def test_other_photos_in_place_of_those_of_one_label_in_three_always_do(groceries: Photos) -> None:
    lost = np.isin(groceries.labels, np.unique(groceries.labels)[::3])
    found = []
    for seed in range(SPLITS):
        half, _, random = groceries.split(seed)
        others = half[~lost[half]]
        now = np.where(lost[half], random.choice(others, len(half)), half)
        found.append(groceries.drift(seed, groceries.vectors["as they are"][now]))
    told("one label in three replaced", found)
    assert alarms(found) == SPLITS
