"""The arrays of Keras' HDF5 files that users name, and how those of a `.weights.h5` come into a known architecture.

A `.weights.h5` has no names of layers: only the class of each and a counter, in the order in which the model has them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import hdf5
from imagefeatures.models.hdf5 import Arrays

OPTIMIZERS = ("optimizer", "optimizer_weights")
"""Groups that hold the state of a training, which no vector needs."""

Shapes = Sequence[tuple[int, ...]]


def check(data: bytes) -> None:
    """Read every array of a file once. Raises ModelMismatch for what `imagefeatures.models.hdf5` refuses."""
    with hdf5.opened(data, "its weights") as file:
        for _ in _arrays(file):
            pass


def configuration(data: bytes) -> str:
    """The JSON of a whole model in a legacy HDF5 file. Raises ModelMismatch for a file of weights alone."""
    with hdf5.opened(data, "its weights") as file:
        if "model_config" not in file.attrs:
            raise ModelMismatch("architecture: is required, as the file holds arrays alone")
        config = file.attrs["model_config"]
        return config.decode() if isinstance(config, bytes) else str(config)


def without_head(data: bytes, counts: Sequence[tuple[int, int]]) -> Arrays:
    """The arrays of a legacy HDF5 file that a backbone takes. What follows in the file is a head.

    counts: how many arrays each of its layers has that are trained, and how many others, in its order. A backbone that
    is one layer of another model has the trained ones of all its layers first.
    """
    with hdf5.opened(data, "its weights") as file:
        arrays = hdf5.layers(file.get("model_weights", file))
    trained, others = (sum(column) for column in zip(*counts, strict=True))
    for name, own in arrays.items():
        if len(own) == trained + others > sum(counts[0]):
            first, then = iter(own[:trained]), iter(own[trained:])
            parts = ([*islice(first, many), *islice(then, more)] for many, more in counts)
            return {f"{name}/{index}": part for index, part in enumerate(parts)}
    return dict(islice(arrays.items(), len(counts)))


def by_class(data: bytes, layers: Iterable[tuple[str, str, Shapes]]) -> Arrays:
    """The arrays of a `.weights.h5` by the names of an architecture's layers; what the file has besides is a head.

    layers: name, class and shapes of the arrays, of each layer that has some, in the architecture's order. Raises
    ModelMismatch when the file lacks a layer, or has one of another shape in its place.
    """
    with hdf5.opened(data, "its weights") as file:
        found = _layers(dict(_arrays(file)))
    given: dict[str, deque[str]] = {}
    for path in sorted(found, key=_in_order):
        given.setdefault(_class_of(path), deque()).append(path)
    arrays: Arrays = {}
    for name, kind, shapes in layers:
        if not (paths := given.get(snake_case(kind))):
            raise ModelMismatch(f"its weights have no layer for {name}, a {kind}; is architecture right?")
        path = paths.popleft()
        have, wanted = [array.shape for array in found[path]], [tuple(shape) for shape in shapes]
        if have != wanted:
            raise ModelMismatch(
                f"its weights {path} have the shapes {have}, and {name} takes {wanted}; is architecture right?"
            )
        arrays[name] = found[path]
    return arrays


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it into a file.

    >>> snake_case("Conv2D"), snake_case("BatchNormalization"), snake_case("DepthwiseConv2D")
    ('conv2d', 'batch_normalization', 'depthwise_conv2d')
    """
    parts = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parts).lower()


def _arrays(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Path and values of each array of the file, but those of an optimizer."""
    import h5py

    unread = file.id.get_filesize()
    waiting = [("", file)]
    while waiting:
        path, group = waiting.pop()
        for name, inner in group.items():
            if isinstance(inner, h5py.Group):
                if path or name not in OPTIMIZERS:
                    waiting.append((f"{path}{name}/", inner))
                continue
            unread -= inner.nbytes
            if unread < 0:  # one array under many names
                raise hdf5.UnsafeFile(f"{path}{name}: the file has fewer bytes than its arrays have together")
            if inner.dtype.kind in "iu" and inner.shape:  # the state of random numbers
                continue
            yield f"{path}{name}", hdf5.numbers(inner)


def _layers(arrays: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer, which Keras numbers in a group `vars`."""
    layers: dict[str, dict[int, np.ndarray]] = {}
    for path, array in arrays.items():
        layer, _, number = path.rpartition("/vars/")
        if layer and number.isdecimal():
            layers.setdefault(layer, {})[int(number)] = array
    return {layer: [own[number] for number in sorted(own)] for layer, own in layers.items()}


def _class_of(path: str) -> str:
    return re.sub(r"_\d+$", "", path.rpartition("/")[2])


def _in_order(path: str) -> list[tuple[str, int]]:
    """Sorts the tenth layer after the ninth, and conv2d before conv2d_1."""
    parts = (re.fullmatch(r"(.*?)_?(\d*)", part) for part in path.split("/"))
    return [(part[1], int(part[2] or 0)) for part in parts if part]
