"""HDF5 files of strangers: only what lies in the file itself is ever read, and never more than the file is long.

HDF5 lets a file name bytes of other files of the machine, as external storage, as an external link or as a virtual
dataset; and lets a file of a few bytes declare arrays of terabytes. Keras writes none of that. So a file that has it,
anywhere, is refused before one array of it is read.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from imagefeatures.errors import ModelMismatch

Arrays = dict[str, list[np.ndarray]]
"""Layer name to the layer's arrays, in layer order."""

MOST_OBJECTS = 100_000
"""Groups and datasets of a file; the largest model by name has 2,000."""

MOST_TEXT_BYTES = 256 << 20
"""Of one attribute. HDF5 does not say how long its texts are before it reads them; one text may stand there often."""

HEAP = b"GCOL"
"""Begins each part of the file that holds texts of variable length."""

MOST_TEXTS = 1_000_000


class UnsafeFile(ValueError):
    """What a file has that no file of Keras has. The text names the place in the file."""


@contextlib.contextmanager
def opened(data: bytes, source: str) -> Iterator[Any]:
    """The h5py.File of a file's bytes, checked. source: names the file in errors.

    Raises ModelMismatch, here or while the file is read, when it is no HDF5 file, is damaged or is refused.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            _check(file, len(data), _longest_text(data))
            yield file
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:  # as h5py raises them
        raise ModelMismatch(f"{source}: not a Keras HDF5 weights file ({_line(error)})") from None


def layers(group: Any, last_layer: str = "") -> Arrays:
    """The arrays of a group with Keras' layer_names, of a file from `opened`: float32.

    last_layer: where to stop; empty reads all. Raises UnsafeFile when an array is not of finite float32 values.
    """
    import h5py

    arrays: Arrays = {}
    unread = group.file.id.get_filesize()
    for layer in _texts(group, "layer_names"):
        own = []
        for name in _texts(group[layer], "weight_names"):
            dataset = group[layer][name]
            if not isinstance(dataset, h5py.Dataset):
                raise UnsafeFile(f"{dataset.name}: not an array")
            unread -= dataset.nbytes
            if unread < 0:  # the same array is named again and again
                raise UnsafeFile(f"{dataset.name}: the file has fewer bytes than its arrays have together")
            own.append(numbers(dataset))
        if own:
            arrays[layer] = own
        if layer == last_layer:
            break
    return arrays


def numbers(dataset: Any) -> np.ndarray:
    """The values as float32, as Keras saves weights. Raises UnsafeFile for others, and for any that is not finite.

    An integer alone is the counter of a Normalization layer, which nothing uses.
    """
    counter = dataset.dtype.kind in "iu" and dataset.shape == ()
    if not counter and (dataset.dtype.kind, dataset.dtype.itemsize) != ("f", 4):
        raise UnsafeFile(f"{dataset.name}: values of type {dataset.dtype}, expected float32")
    array = np.asarray(dataset[()], "<f4")
    if not np.isfinite(array).all():
        raise UnsafeFile(f"{dataset.name}: a value that is not finite")
    return array


def _check(file: Any, size: int, longest_text: int) -> None:
    """Raise UnsafeFile when an object of the file may hold more or other bytes than the file. size: its bytes."""
    import h5py

    if file.id.get_create_plist().get_sizes() != (8, 8):
        raise UnsafeFile("its addresses have another length than Keras writes")
    seen: set[int] = set()
    waiting = [file.id]
    while waiting:
        group = waiting.pop()
        _check_attributes(group, size, longest_text)
        for name in group:
            place = name.decode(errors="replace")
            if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                raise UnsafeFile(f"{place}: a link to another place; only the file's own objects are read")
            found = h5py.h5o.open(group, name)
            address = h5py.h5o.get_info(found).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise UnsafeFile(f"{place}: the file has more than {MOST_OBJECTS} objects")
            if isinstance(found, h5py.h5g.GroupID):
                waiting.append(found)
            elif isinstance(found, h5py.h5d.DatasetID):
                _check_dataset(found, place, size)
                _check_attributes(found, size, longest_text)
            else:
                raise UnsafeFile(f"{place}: neither a group nor an array")


def _check_dataset(dataset: Any, place: str, size: int) -> None:
    import h5py

    created = dataset.get_create_plist()
    if (layout := created.get_layout()) == h5py.h5d.VIRTUAL:  # first: to ask for its shape would open other files
        raise UnsafeFile(f"{place}: a virtual dataset; only arrays in the file itself are read")
    if created.get_external_count():
        raise UnsafeFile(f"{place}: external storage; only arrays in the file itself are read")
    if layout == h5py.h5d.CHUNKED or created.get_nfilters():  # what they unpack to is known only afterwards
        raise UnsafeFile(f"{place}: in chunks or compressed; save the weights with Keras, which does neither")
    declared, stored = math.prod(dataset.shape or ()) * dataset.dtype.itemsize, dataset.get_storage_size()
    if declared > min(stored, size):
        raise UnsafeFile(f"{place}: declares {declared} bytes, of which the file has {min(stored, size)}")


def _check_attributes(owner: Any, size: int, longest_text: int) -> None:
    import h5py

    for index in range(h5py.h5a.get_num_attrs(owner)):
        attribute = h5py.h5a.open(owner, index=index)
        place, count = attribute.name.decode(errors="replace"), math.prod(attribute.shape or ())
        if attribute.dtype.kind == "O" and count * longest_text > MOST_TEXT_BYTES:
            raise UnsafeFile(f"attribute {place}: {count} texts, of which one has {longest_text} bytes")
        if count * attribute.dtype.itemsize > size:
            raise UnsafeFile(f"attribute {place}: {count} values, more than the file has")


def _longest_text(data: bytes) -> int:
    """The bytes of the longest text of variable length in a file. Raises UnsafeFile when there are too many."""
    longest = count = 0
    start = data.find(HEAP)
    while start >= 0:
        end, position = start + int.from_bytes(data[start + 8 : start + 16], "little"), start + 16
        while data[start + 4] == 1 and position + 16 <= min(end, len(data)):  # 1: the version of the format
            if (count := count + 1) > MOST_TEXTS:
                raise UnsafeFile(f"more than {MOST_TEXTS} texts")
            length = int.from_bytes(data[position + 8 : position + 16], "little")
            if data[position : position + 2] == b"\0\0":  # what follows is not used
                break
            longest = max(longest, min(length, len(data)))
            position += 16 + -(-length // 8) * 8
        start = data.find(HEAP, start + len(HEAP))
    return longest


def _texts(group: Any, name: str) -> list[str]:
    """The texts of an attribute. Keras cuts a long one into name0, name1, … Raises KeyError when there is none."""
    names = [name]
    if name not in group.attrs and f"{name}0" in group.attrs:
        names = [f"{name}{part}" for part in range(len(group.attrs)) if f"{name}{part}" in group.attrs]
    values: Iterable[Any] = (value for part in names for value in group.attrs[part])
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
