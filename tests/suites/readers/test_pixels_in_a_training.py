"""Pixels by PyTorch and by TensorFlow: uint8, every picture once in each epoch, in memory that does not grow."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from imagefeatures import read
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from support.pixel_tables import pictures, publish, rows_of

KIND = PixelFormat.of_shape((20, 30, 3))
SIZES = [100, 3, 250, 70, 1]
EVERY = list(range(sum(SIZES)))
WAYS: dict[str, dict[str, Any]] = {
    "this process": {},
    "2 new workers": {"num_workers": 2},
    "2 spawned": {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "spawn"},
}


@pytest.fixture
def photos(settings: Settings, tmp_path: Path) -> read.Pixels:
    ends = np.cumsum([0, *SIZES])
    files = [rows_of(range(start, end), kind=KIND) for start, end in pairwise(ends.tolist())]
    publish(settings, tmp_path, files, kind=KIND)
    return read.open("photos", what="pixels")


@pytest.fixture(scope="module")
def numbered() -> dict[bytes, int]:
    return {picture.tobytes(): number for number, picture in enumerate(pictures(EVERY, KIND))}


def numbers(batches: Iterable[tuple[Any, Any]], numbered: dict[bytes, int]) -> list[int]:
    found: list[int] = []
    for pixels, labels in batches:
        pixels, labels = np.asarray(pixels), np.asarray(labels)
        assert (pixels.dtype, labels.dtype, pixels.shape[1:]) == (np.uint8, np.int64, KIND.shape)
        own = [numbered[picture.tobytes()] for picture in pixels]
        assert labels.tolist() == [[1, 0, -1, 2][number % 4] for number in own]
        found += own
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_picture_comes_once_in_each_epoch(
    photos: read.Pixels, numbered: dict[bytes, int], way: str, shuffle: bool
) -> None:
    dataset = photos.to_torch(batch=32, shuffle=shuffle, seed=1 if shuffle else None)
    loader = DataLoader(dataset, batch_size=None, **WAYS[way])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not writable")  # a tensor over Arrow's own memory
        orders = [numbers(loader, numbered) for _ in range(2)]
    assert [sorted(order) for order in orders] == [EVERY] * 2
    assert (orders[0] != orders[1]) is shuffle
    first = next(iter(dataset))[0]
    assert first.dtype == torch.uint8
    first += 1  # it is a copy, which may be written to


def test_tensorflow_gets_the_same(photos: read.Pixels, numbered: dict[bytes, int]) -> None:
    assert numbers(photos.to_tf(batch=32).as_numpy_iterator(), numbered) == EVERY
    shuffled = photos.to_tf(batch=32, shuffle=True, seed=1)
    assert sorted(numbers(shuffled.as_numpy_iterator(), numbered)) == EVERY
