"""imagefeatures.pixels: pixels as Arrow columns, as arrays and as tensors, in the same memory."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import read, schemas
from imagefeatures.errors import InputError
from imagefeatures.pixels import PixelFormat, as_binary
from support.pixel_tables import KIND, pictures, rows_of


@pytest.fixture
def batch() -> pa.RecordBatch:
    (found,) = rows_of(range(9)).to_batches()
    return found


def test_an_array_is_a_view_of_the_batch_also_of_a_part_of_it(batch: pa.RecordBatch) -> None:
    address = batch.column("pixels").buffers()[1].address
    for rows, numbers in ((batch, range(9)), (batch.slice(4, 3), range(4, 7)), (batch.slice(2).slice(3), range(5, 9))):
        found = read.pixels(rows)
        assert np.array_equal(found, pictures(numbers))
        assert (found.dtype, found.flags.writeable) == (np.uint8, False)
        assert found.ctypes.data == address + numbers[0] * KIND.size


def test_tensors_are_arrows_own_in_the_same_memory_also_of_a_part(batch: pa.RecordBatch) -> None:
    address = batch.column("pixels").buffers()[1].address
    for rows, numbers in ((batch, range(9)), (batch.slice(4, 3), range(4, 7)), (batch.slice(2).slice(3), range(5, 9))):
        found = read.tensors(rows)
        assert found.type == pa.fixed_shape_tensor(pa.uint8(), (6, 5, 3), dim_names=("height", "width", "channels"))
        images = found.to_numpy_ndarray()
        assert np.array_equal(images, pictures(numbers))
        assert images.ctypes.data == address + numbers[0] * KIND.size
        assert found.slice(1).to_tensor().to_numpy().tolist() == pictures(numbers[1:]).tolist()
    assert len(read.tensors(batch.slice(9))) == len(read.pixels(batch.slice(9))) == 0


def test_a_table_of_several_chunks_is_one_array() -> None:
    table = pa.concat_tables([rows_of([1, 2]), rows_of([3]).slice(0, 0), rows_of([4, 5]).slice(1)])
    assert np.array_equal(read.pixels(table), pictures([1, 2, 5]))
    assert read.pixels(table.slice(0, 0)).shape == (0, 6, 5, 3)


def test_a_column_says_its_shape_as_arrow_does(batch: pa.RecordBatch) -> None:
    said = batch.schema.field("pixels").metadata
    assert json.loads(said[b"arrow.fixed_shape_tensor"]) == {
        "shape": [6, 5, 3],
        "dim_names": ["height", "width", "channels"],
    }
    assert (said[b"dtype"], said[b"layout"]) == (b"uint8", b"RGB")
    assert PixelFormat.of_field(batch.schema.field("pixels")) == KIND


def test_a_column_without_a_shape_and_a_row_without_pixels_are_refused(batch: pa.RecordBatch) -> None:
    bare = pa.RecordBatch.from_arrays([batch.column("pixels")], names=["pixels"])
    schema = pa.schema([pa.field("pixels", KIND.storage, metadata=KIND.metadata)])
    empty = pa.RecordBatch.from_arrays([pa.array([bytes(KIND.size), None], KIND.storage)], schema=schema)
    for get in (read.pixels, read.tensors):
        with pytest.raises(
            InputError, match=r"^column pixels: does not say the shape of its pixels; take it from read"
        ):
            get(bare)
        with pytest.raises(InputError, match=r"^row 1: no pixels$"):
            get(empty)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_other_values_keep_their_type(dtype: str) -> None:
    kind = PixelFormat((2, 3, 4), dtype, "channels")
    values = np.arange(5 * 24).reshape(5, 2, 3, 4).astype(dtype)
    field = schemas.pixels_table(kind).field("pixels")
    rows = pa.RecordBatch.from_arrays([as_binary(values)], schema=pa.schema([field])).slice(1, 3)
    assert np.array_equal(read.pixels(rows), values[1:4])
    assert read.pixels(rows).dtype == dtype
    assert np.array_equal(read.tensors(rows).to_numpy_ndarray(), values[1:4])


def test_pixels_that_are_no_block_of_memory_are_made_one() -> None:
    crossed = pictures(range(4)).transpose(0, 2, 1, 3)
    column = as_binary(crossed)
    assert column[3].as_py() == crossed[3].tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"shape": [1, 2], "dtype": "uint8", "layout": "L"}',
        '{"shape": [0, 1, 1], "dtype": "uint8", "layout": "L"}',
        '{"shape": [2, 2, 3], "dtype": "nonsense", "layout": "L"}',
        '{"shape": [99999, 99999, 3], "dtype": "uint8", "layout": "L"}',
    ],
)
def test_what_is_no_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not say shape, dtype and layout|is no shape of a picture"):
        PixelFormat.of_text(text)


def test_a_format_is_read_back() -> None:
    for kind in (KIND, PixelFormat.of_shape((7, 8, 1)), PixelFormat((1, 2, 5), "uint16", "channels")):
        assert PixelFormat.of_text(kind.as_text()) == kind
    layouts = [PixelFormat.of_shape((1, 1, count)).layout for count in (1, 2, 3, 4, 5)]
    assert layouts == ["L", "LA", "RGB", "RGBA", "channels"]
