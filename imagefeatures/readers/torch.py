"""A stream of batches as PyTorch's IterableDataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.readers.stream import Stream

if TYPE_CHECKING:
    import torch
    from torch.utils.data import IterableDataset

MOST_WORKERS = 1024


class Batches:
    """What the dataset does. `dataset` joins it with PyTorch's class, which cannot be named before torch is imported.

    passes: int64 [MOST_WORKERS], in memory that worker processes share: how many passes each of them has begun. A
    DataLoader makes new workers for each pass, unless they are persistent, and none of them knows of the earlier ones.
    """

    def __init__(self, stream: Stream, passes: torch.Tensor) -> None:
        self._stream, self._passes = stream, passes

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        import torch
        from torch.utils.data import get_worker_info

        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        epoch = int(self._passes[worker])
        self._passes[worker] += 1
        for values, labels in self._stream.batches(epoch, worker, workers):
            yield torch.from_numpy(self._writable(values)), torch.from_numpy(labels)

    def _writable(self, values: np.ndarray) -> np.ndarray:
        """PyTorch has no read-only tensors: a view of Arrow's memory is copied."""
        if values.flags.writeable:
            return values
        own = self._stream.values.empty(len(values))
        own[:] = values
        return own

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Stream, torch.Tensor]]:
        return _joined, (self._stream, self._passes)


def dataset(stream: Stream) -> IterableDataset[Any]:
    """See `Features.to_torch`."""
    import torch

    return _joined(stream, torch.zeros(MOST_WORKERS, dtype=torch.int64).share_memory_())


def _joined(stream: Stream, passes: torch.Tensor) -> IterableDataset[Any]:
    made: IterableDataset[Any] = _class()(stream, passes)
    return made


@cache
def _class() -> Any:
    from torch.utils.data import IterableDataset

    return type("FeaturesDataset", (Batches, IterableDataset), {"__doc__": Batches.__doc__})
