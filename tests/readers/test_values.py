"""What a training reads of each row: its vector or its pixels, in memory of their shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.errors import InputError
from imagefeatures.pixels import PixelFormat
from imagefeatures.readers.values import Values
from support.pixel_tables import KIND, pictures, rows_of


def vectors(*rows: list[float]) -> pa.RecordBatch:
    return pa.record_batch({"features": pa.array(rows, pa.list_(pa.float32()))})


def test_the_first_row_says_how_many_values_a_vector_has() -> None:
    assert Values.of_vectors("t", iter([vectors([1, 2], [3])])) == Values("t", "features", (2,), "float32")
    assert Values.of_vectors("t", iter(())) == Values("t", "features", (0,), "float32")


def test_the_table_says_what_its_pixels_are() -> None:
    schema = schemas.pixels_table(PixelFormat((2, 3, 4), "uint16", "bands"))
    assert Values.of_pixels("t", schema) == Values("t", "pixels", (2, 3, 4), "uint16")


@pytest.mark.parametrize(
    ("shape", "dtype", "size"), [((1280,), "float32", 5120), ((2, 3, 4), "uint16", 48), ((0,), "float32", 4)]
)
def test_a_row_takes_the_bytes_of_its_values(shape: tuple[int, ...], dtype: str, size: int) -> None:
    assert Values("t", "x", shape, dtype).row_bytes == size


def test_memory_for_rows_has_their_shape_and_begins_at_a_multiple_of_64_bytes() -> None:
    for rows, shape, dtype in (
        (3, (5,), "float32"),
        (2, (2, 3, 4), "uint16"),
        (0, (5,), "float32"),
        (3, (0,), "float32"),
    ):
        memory = Values("t", "x", shape, dtype).empty(rows)
        assert (memory.shape, memory.dtype) == ((rows, *shape), np.dtype(dtype))
        assert memory.flags.writeable
        assert not memory.size or memory.__array_interface__["data"][0] % 64 == 0


def test_rows_of_other_vectors_are_refused_and_no_rows_are_not() -> None:
    values = Values("t", "features", (2,), "float32")
    assert values.of(vectors([1, 2], [3, 4])).tolist() == [[1, 2], [3, 4]]
    assert len(values.of(vectors())) == 0
    with pytest.raises(InputError, match=r"^t: vectors of 2 values and of 3$"):
        values.of(vectors([1, 2, 3]))


def test_pixels_are_read_as_pictures() -> None:
    (batch,) = rows_of([1, 2]).to_batches()
    assert np.array_equal(Values.of_pixels("t", schemas.pixels_table(KIND)).of(batch), pictures([1, 2]))
