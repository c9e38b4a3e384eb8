"""Which batches each worker of a DataLoader gets in each pass. PyTorch itself is used by make test-readers."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from imagefeatures.readers import torch as reader
from imagefeatures.readers.stream import Stream
from imagefeatures.readers.values import Values


class Dataset:
    """In place of PyTorch's IterableDataset."""


class Zeros(np.ndarray):
    def share_memory_(self) -> Zeros:
        return self


class Shown:
    """A stream that notes what it is asked for. Its values are read-only, its labels are not."""

    values = Values("t", "features", (2,), "float32")

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def batches(self, epoch: int, worker: int, workers: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.asked.append((epoch, worker, workers))
        values = np.array([[1, 2], [3, 4]], np.float32)
        values.flags.writeable = False
        yield values, np.array([0, 1])
        yield np.array([[5, 6]], np.float32), np.array([2])


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SimpleNamespace]]:
    """What PyTorch says of the worker: the last of the list, if any."""
    said: list[SimpleNamespace] = []
    torch, utils, data = ModuleType("torch"), ModuleType("torch.utils"), ModuleType("torch.utils.data")
    torch.__dict__.update(
        utils=utils, int64=np.int64, from_numpy=lambda array: array,
        zeros=lambda count, dtype: np.zeros(count, dtype).view(Zeros),
    )  # fmt: skip
    data.__dict__.update(IterableDataset=Dataset, get_worker_info=lambda: said[-1] if said else None)
    for module in (torch, utils, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    reader._class.cache_clear()
    yield said
    reader._class.cache_clear()


def made(stream: Shown) -> Any:
    return reader.dataset(cast("Stream", stream))


def test_each_pass_of_each_worker_has_a_number_of_its_own(workers: list[SimpleNamespace]) -> None:
    stream = Shown()
    dataset = made(stream)
    assert isinstance(dataset, Dataset)
    assert dataset.__doc__ == reader.Batches.__doc__
    for worker in (None, None, (1, 3), (0, 3), (1, 3)):
        workers[:] = [SimpleNamespace(id=worker[0], num_workers=worker[1])] if worker else []
        assert [labels.tolist() for _, labels in dataset] == [[0, 1], [2]]
    assert stream.asked == [(0, 0, 1), (1, 0, 1), (0, 1, 3), (2, 0, 3), (1, 1, 3)]


@pytest.mark.usefixtures("workers")
def test_a_view_that_is_read_only_is_copied_and_another_one_is_not() -> None:
    batches = [values for values, _ in made(Shown())]
    assert [values.tolist() for values in batches] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert all(values.flags.writeable for values in batches)
    own = np.zeros((1, 2), np.float32)
    assert reader.Batches(cast("Stream", Shown()), cast("Any", None))._writable(own) is own


@pytest.mark.usefixtures("workers")
def test_a_copy_of_the_dataset_has_its_stream_and_its_passes() -> None:
    dataset = made(Shown())
    list(dataset)
    again = pickle.loads(pickle.dumps(dataset))
    assert type(again) is type(dataset)
    assert again._stream.asked == [(0, 0, 1)]
    assert (again._passes[0], len(again._passes)) == (1, reader.MOST_WORKERS)
