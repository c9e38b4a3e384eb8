"""A training by PyTorch and by TensorFlow: every row once in each epoch, and a head as good as by NumPy."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from benchmarks import readers
from imagefeatures import read, schemas
from imagefeatures.settings import REPOSITORY, Settings
from support.publishing import DAY
from support.snippets import section
from support.training import numbers, publish, publish_files, rows_of

SIZES = [500, 3, 1500, 70, 1, 300, 2100]
EVERY = list(range(sum(SIZES)))
WAYS: dict[str, dict[str, Any]] = {
    "this process": {},
    "2 new workers": {"num_workers": 2},
    "2 that stay": {"num_workers": 2, "persistent_workers": True},
    "2 spawned": {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "spawn"},
    "more than files": {"num_workers": 9},
}
EPOCHS = 3


@pytest.fixture
def photos(settings: Settings, tmp_path: Path) -> read.Features:
    publish_files(settings, tmp_path, SIZES)
    return read.open("photos")


@pytest.mark.parametrize("way", WAYS)
def test_every_row_comes_once_in_each_epoch_and_each_epoch_has_its_order(photos: read.Features, way: str) -> None:
    def orders() -> list[list[int]]:
        loader = DataLoader(photos.to_torch(batch=64, shuffle=True, seed=1), batch_size=None, **WAYS[way])
        return [numbers(loader) for _ in range(EPOCHS)]

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not writable")  # a tensor over Arrow's own memory
        first = orders()
    assert [sorted(order) for order in first] == [EVERY] * EPOCHS
    assert len({tuple(order) for order in first}) == EPOCHS
    assert orders() == first


@pytest.mark.parametrize("way", WAYS)
def test_without_shuffling_the_order_of_each_worker_is_the_tables(photos: read.Features, way: str) -> None:
    loader = DataLoader(photos.to_torch(batch=64), batch_size=None, **WAYS[way])
    for _ in range(2):
        found = numbers(loader)
        assert sorted(found) == EVERY
        assert (found == EVERY) == (way == "this process")


def test_an_epoch_that_is_broken_off_costs_the_next_one_nothing(photos: read.Features) -> None:
    loader = DataLoader(photos.to_torch(batch=64, shuffle=True, seed=1), batch_size=None, num_workers=2)
    for _ in range(2):
        next(iter(loader))
    assert sorted(numbers(loader)) == EVERY


def test_it_is_an_iterable_dataset_of_tensors_that_may_be_written_to(photos: read.Features) -> None:
    dataset = photos.to_torch(batch=64)
    assert isinstance(dataset, IterableDataset)
    features, labels = next(iter(dataset))
    assert (features.dtype, labels.dtype, features.shape) == (torch.float32, torch.int64, (64, 4))
    features += 1
    assert features[0, 0] == 1
    assert next(iter(photos.to_torch(batch=64)))[0][0, 0] == 0


def test_a_file_that_is_gone_is_said_in_a_worker_too(photos: read.Features, settings: Settings) -> None:
    dataset = photos.to_torch(batch=64)
    Path(read.files(settings, "photos")[2].removeprefix("file://")).unlink()
    with pytest.raises(Exception, match=rf"if snapshot {photos.snapshot} has expired since it was opened"):
        numbers(DataLoader(dataset, batch_size=None, num_workers=2))


def test_tensorflow_gets_every_row_and_another_order_in_each_epoch(photos: read.Features) -> None:
    def orders() -> list[list[int]]:
        dataset = photos.to_tf(batch=64, shuffle=True, seed=1)
        return [numbers(dataset.as_numpy_iterator()) for _ in range(2)]

    first = orders()
    assert [sorted(order) for order in first] == [EVERY] * 2
    assert first[0] != first[1]
    assert orders() == first
    plain = photos.to_tf(batch=64)
    assert numbers(plain.as_numpy_iterator()) == EVERY
    assert len(plain) == -(-len(EVERY) // 64)
    assert [tuple(spec.shape) for spec in plain.element_spec] == [(None, 4), (None,)]
    repeated = numbers(photos.to_tf(batch=64, shuffle=True, seed=1).repeat(2).as_numpy_iterator())
    assert repeated == first[0] + first[1]
    nothing = read.open("photos", labels=("kiwi",)).to_tf()
    assert (len(nothing), list(nothing)) == (0, [])


# A head


@pytest.fixture
def clouds(settings: Settings, tmp_path: Path) -> tuple[read.Features, read.Features]:
    """Three labels as three clouds of vectors that overlap a little, a file for each: both sides of a split."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 32))
    files = []
    for number in range(12):
        rows = rows_of(number * 400, 400)
        vectors = (centres[number % 3] + random.normal(0, 1.4, (400, 32))).astype(np.float32)
        offsets = np.arange(0, vectors.size + 1, 32, dtype=np.int32)
        column = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()))
        own = {
            "features": column.cast(schemas.FEATURES.field("features").type),
            "label": pa.array([f"cloud {number % 3}"] * 400),
        }
        for name, values in own.items():
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, schemas.FEATURES.field(name), values)
        files.append(rows)
    publish(settings, tmp_path, files, DAY)
    return read.open("photos", split="train"), read.open("photos", split="test")


def test_a_head_trained_from_batches_is_as_good_as_by_numpy(clouds: tuple[read.Features, read.Features]) -> None:
    train, test = clouds
    arrays = train.to_numpy()
    random = np.random.default_rng(0)

    def shuffled() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        order = random.permutation(len(arrays.labels))
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            yield arrays.features[chosen], arrays.labels[chosen]

    loader = DataLoader(train.to_torch(batch=64, shuffle=True, seed=0), batch_size=None, num_workers=2)
    dataset = train.to_tf(batch=64, shuffle=True, seed=0)
    accuracies = {
        "numpy": accuracy(lambda: shuffled(), test),
        "torch": accuracy(lambda: ((features.numpy(), labels.numpy()) for features, labels in loader), test),
        "tf": accuracy(lambda: dataset.as_numpy_iterator(), test),
    }
    print(f" {accuracies} ", end="")
    assert accuracies["numpy"] > 0.9
    assert accuracies["torch"] == pytest.approx(accuracies["numpy"], abs=0.02)
    assert accuracies["tf"] == pytest.approx(accuracies["numpy"], abs=0.02)


def accuracy(epoch: Any, test: read.Features) -> float:
    """Of a softmax head after five epochs of gradient descent over the batches that epoch() gives."""
    weights, bias = np.zeros((32, 3)), np.zeros(3)
    for _ in range(5):
        for features, labels in epoch():
            scores = np.exp(features @ weights + bias)
            error = scores / scores.sum(axis=1, keepdims=True)
            error[np.arange(len(labels)), labels] -= 1
            weights -= 0.1 * features.T @ error / len(labels)
            bias -= 0.1 * error.mean(axis=0)
    features, labels, _, _ = test.to_numpy()
    return float(((features @ weights + bias).argmax(axis=1) == labels).mean())


# The documents, and memory


def test_the_example_of_the_document_runs(settings: Settings, tmp_path: Path) -> None:
    rows = rows_of(0, 1000, width=1280)
    publish(settings, tmp_path, [rows.slice(0, 600), rows.slice(600)])
    ((language, code),) = section(REPOSITORY / "docs" / "reading.md", "PyTorch").blocks
    assert language == "py"
    names: dict[str, Any] = {}
    code = code.replace('read.open("fruit")', 'read.open("photos")').replace("    ...\n", "    seen += len(labels)\n")
    exec(compile(f"seen = 0\n{code}", "reading.md: PyTorch", "exec"), names)
    assert names["seen"] == 1000
    assert names["features"].shape[1] == 1280


TRAIN = """
import json, sys
from benchmarks import readers
reads = readers.READERS[sys.argv[1]]
print(json.dumps([reads()(), readers.peak_mib()]))
"""


def test_memory_does_not_grow_with_the_table(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """204,800 vectors of 1280 values are 1 GB. A small table shows what the libraries take."""

    def peaks(files: int) -> dict[str, float]:
        folder = tmp_path / str(files)
        folder.mkdir()
        monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{folder}/lake")
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{folder}/lake/catalog.db?timeout=60")
        monkeypatch.setenv("PYTHONPATH", sys.path[-1], prepend=":")
        readers.publish(folder, files)
        found = {}
        for name in ("to_tf, shuffled", "to_torch, shuffled"):
            command = [sys.executable, "-c", TRAIN, name]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            rows, found[name] = json.loads(done.stdout.splitlines()[-1])
            assert rows == files * readers.FILE_ROWS
        return found

    small, large = peaks(40), peaks(400)
    print(f" MiB: {small} {large} ", end="")
    for name, peak in large.items():
        assert peak < small[name] + 150
