"""The parts of an export by themselves: formats and their names, batches, windows, TFRecord's bytes, the estimate."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures.errors import ParamsError
from imagefeatures.exports import content, estimate, formats, tfrecord, windows
from imagefeatures.exports.content import Batch, Content, batch_rows, cut_at
from imagefeatures.pixels import PixelFormat

FACTS = pa.schema([("uri", pa.string()), ("label", pa.string()), ("size", pa.int64())])
SUFFIXES = ".h5, .hdf5, .npy, .npz, .tfrecord, .tfrecords, .tar, .csv, .parquet, .arrow, .feather"


def content_of(rows: int = 10, shape: tuple[int, ...] = (2,), facts: pa.Schema = FACTS, **fields: Any) -> Content:
    return Content("fruit", 7, "vgg16", "f" * 32, rows, shape, ("fig", "pear"), facts, **fields)


def batch_of(count: int, first: int = 0) -> Batch:
    numbers = np.arange(first, first + count)
    labels = [("fig", None, "pear")[number % 3] for number in numbers.tolist()]
    facts = [[f"s3://b/{number}" for number in numbers.tolist()], labels, numbers * 1000]
    values = np.stack([numbers, numbers + 0.5], 1).astype(np.float32)
    return Batch(
        values, np.array([0, -1, 1])[numbers % 3], pa.RecordBatch.from_arrays([*map(pa.array, facts)], schema=FACTS)
    )


# Formats


def test_each_format_has_its_suffixes_and_what_it_can_do() -> None:
    assert ", ".join(formats.by_suffix) == SUFFIXES
    can = {
        one.name: (one.beside, one.folder, one.flat, one.pixels, one.measured, one.compression)
        for one in formats.FORMATS
    }
    plain = "not compressed"
    assert can == {
        "hdf5": ("", False, False, "file", False, plain),
        "npy": (".parquet", True, False, "file", False, plain),
        "npz": ("", False, False, "file", False, plain),
        "tfrecord": (".json", False, False, "file", False, plain),
        "webdataset": ("", True, False, "folder", True, plain),
        "csv": ("", False, True, "", True, plain),
        "parquet": ("", False, True, "file", True, "zstd"),
        "arrow": ("", False, True, "file", False, plain),
    }
    assert formats.by_name["csv"].names("a.csv") == ("a.csv",)
    assert formats.by_name["tfrecord"].names("a.tfrecord") == ("a.json", "a.tfrecord")


@pytest.mark.parametrize(
    ("target", "name", "chosen"),
    [
        ("a.h5", None, "hdf5"),
        ("s3://b/a.FEATHER", None, "arrow"),
        ("a.h5", "csv", "csv"),
        ("a", "npz", "npz"),
        ("a/", "npy", "npy"),
        ("a.h5/", "webdataset", "webdataset"),
    ],
)
def test_a_format_is_that_of_its_name_or_of_the_suffix(target: str, name: str | None, chosen: str) -> None:
    assert formats.choose(target, name).name == chosen


@pytest.mark.parametrize(
    ("target", "name", "said"),
    [
        ("a.h6", None, "--to: a.h6: no format has the suffix .h6 (did you mean .h5?)"),
        ("a.docx", None, f"--to: a.docx: no format has the suffix .docx; there are {SUFFIXES}"),
        ("a", None, f"--to: a: no suffix says the format; add one of {SUFFIXES}, or --format"),
        ("a.h5/", None, f"--to: a.h5/: no suffix says the format; add one of {SUFFIXES}, or --format"),
        ("a", "hdf", "--format: no format 'hdf' (did you mean hdf5?)"),
        ("a", "word", f"--format: no format 'word'; there are {', '.join(formats.by_name)}"),
        (
            "a/",
            "csv",
            "--to: a/: csv is one file, such as a/features.csv; a folder takes --format npy or webdataset",
        ),
    ],
)
def test_what_is_no_format_is_refused(target: str, name: str | None, said: str) -> None:
    with pytest.raises(ParamsError) as raised:
        formats.choose(target, name)
    assert str(raised.value) == said


# What is exported


def test_what_a_file_says_of_itself() -> None:
    about = {
        "table": "features.fruit",
        "snapshot": 7,
        "model": "vgg16",
        "fingerprint": "f" * 32,
        "rows": 10,
        "features": 2,
        "order": "uri",
        "label_names": ["fig", "pear"],
        "versions": {"pyarrow": pa.__version__, "numpy": np.__version__},
    }
    found = content_of()
    assert not found.flat
    assert found.about() == about
    assert json.loads(found.metadata()["imagefeatures"]) == about
    assert (found.values, found.array_name, found.value_names) == ("features", "features", ["f0", "f1"])
    assert (found.dtype, found.row_bytes, found.batch_rows) == (np.dtype("<f4"), 8, 1024)
    odd = Content("fruit", 7, "m", "f", 1, (1,), ("梨",), FACTS)
    assert '"梨"' in odd.metadata()["imagefeatures"]
    copies = content_of(facts=FACTS.append(pa.field("copy", pa.int32())), components=2)
    assert copies.about()["order"] == "uri, copy"
    assert (copies.values, copies.array_name, copies.value_names) == ("components", "components", ["pc0", "pc1"])


def test_pixels_say_their_type_and_have_no_model() -> None:
    kind = PixelFormat((4, 5, 3), "uint16", "hwc")
    found = Content("fruit", 7, None, "f", 10, (4, 5, 3), (), FACTS, kind=kind)
    about = found.about()
    assert "model" not in about
    assert (about["images"], about["dtype"], about["layout"]) == ([4, 5, 3], "uint16", "hwc")
    assert (found.values, found.array_name, found.dtype, found.row_bytes) == ("pixels", "images", np.dtype("<u2"), 120)


def test_a_batch_has_so_many_rows_or_bytes_and_at_least_one_row() -> None:
    most = content.BATCH_BYTES
    assert [batch_rows(size) for size in (1, most // 1024, most // 1024 + 1, most, most + 1)] == [
        1024,
        1024,
        1023,
        1,
        1,
    ]
    assert batch_rows(1, most=7) == 7
    assert content.texts(pa.array(["a", None])) == ["a", ""]


def test_batches_are_cut_at_each_multiple_and_lose_no_row() -> None:
    cut = list(cut_at(iter([batch_of(3), batch_of(5, 3), batch_of(1, 8)]), 4))
    assert [len(batch.labels) for batch in cut] == [3, 1, 4, 1]
    assert [uri for batch in cut for uri in batch.facts["uri"].to_pylist()] == [f"s3://b/{at}" for at in range(9)]
    assert np.concatenate([batch.values for batch in cut])[:, 0].tolist() == list(range(9))
    assert np.concatenate([batch.labels for batch in cut]).tolist() == [0, -1, 1] * 3
    small = list(cut_at(iter([batch_of(5)]), 2))
    assert [(len(batch.labels), len(batch.values), batch.facts.num_rows) for batch in small] == [
        (2,) * 3,
        (2,) * 3,
        (1,) * 3,
    ]


# Windows


def facts_of(ranks: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"uri": [str(rank) for rank in ranks]})


@pytest.mark.parametrize(
    "batches",
    [
        [[4, 5, 6, 7]],
        [[5, 4], [7, 6]],
        [[3, 4, 8], [7, 9, 6], [5]],
        [[0, 1], [6, 7], [4, 5]],
        [[2, 5], [7, 4, 6], [8, 9]],
        [[4, 6, 5, 7]],
        [[4, 6], [5, 7]],
    ],
)
def test_a_window_has_its_rows_in_order_whatever_comes(batches: list[list[int]]) -> None:
    window = windows.Window(4, np.full((4, 1), -1.0))
    for ranks in batches:
        window.add(np.array(ranks), np.array(ranks, np.float64)[:, None], facts_of(ranks))
    pieces = list(window.pieces(3))
    assert [len(values) for values, _ in pieces] == [3, 1]
    assert np.concatenate([values for values, _ in pieces])[:, 0].tolist() == [4, 5, 6, 7]
    assert [uri for _, facts in pieces for uri in facts["uri"].to_pylist()] == ["4", "5", "6", "7"]


def test_batches_get_the_ranks_that_are_theirs() -> None:
    batches = [facts_of([0] * count) for count in (2, 0, 3)]
    found = list(windows.with_ranks(np.arange(5), batches))
    assert [ranks.tolist() for ranks, _ in found] == [[0, 1], [], [2, 3, 4]]
    assert [batch for _, batch in found] == batches


@pytest.mark.parametrize(
    ("counts", "size", "joined"),
    [
        ([2, 2, 2], 8, [2, 2, 2]),  # each has a fourth
        ([1, 1, 1], 8, [2, 1]),
        ([1, 1, 1, 1], 8, [2, 2]),
        ([1, 3], 8, [1, 3]),
        ([1, 2, 1], 8, [1, 2, 1]),
        ([1, 1, 1], 3, [1, 1, 1]),
        ([1, 1], 1, [1, 1]),
        ([1, 9, 1, 1, 1], 8, [1, 9, 2, 1]),
        ([], 8, []),
    ],
)
def test_pieces_below_a_fourth_of_the_size_are_joined(counts: list[int], size: int, joined: list[int]) -> None:
    ends = np.cumsum([0, *counts])
    pieces = [(np.arange(a, b)[:, None], facts_of(list(range(a, b)))) for a, b in itertools.pairwise(ends)]
    found = list(windows.pieces_joined(pieces, size))
    assert [len(values) for values, _ in found] == joined
    assert [value for values, _ in found for value in values[:, 0].tolist()] == list(range(ends[-1]))
    assert [int(uri) for _, facts in found for uri in facts["uri"].to_pylist()] == list(range(ends[-1]))


# TFRecord


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (2**63 - 1, b"\xff" * 8 + b"\x7f"),
        (-1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_a_whole_number_is_written_as_protocol_buffers_have_it(number: int, written: bytes) -> None:
    assert tfrecord._varint(number) == written


def test_an_example_is_the_bytes_of_the_format() -> None:
    (example,) = tfrecord._examples(content_of(1, facts=FACTS), iter([batch_of(1)]))
    features = b"\x0a\x08features\x12\x0c\x12\x0a\x0a\x08" + np.float32([0, 0.5]).tobytes()
    label = b"\x0a\x05label\x12\x05\x1a\x03\x0a\x01\x00"
    size = b"\x0a\x04size\x12\x05\x1a\x03\x0a\x01\x00"
    parts = [features, label, size, b"\x0a\x03uri\x12\x0c\x0a\x0a\x0a\x08s3://b/0"]
    body = b"".join(b"\x0a" + bytes([len(part)]) + part for part in parts)
    assert example == b"\x0a" + bytes([len(body)]) + body


def test_the_specification_says_how_each_feature_is_parsed() -> None:
    found = content_of(shape=(2,))
    text, integer = {"dtype": "string", "shape": []}, {"dtype": "int64", "shape": []}
    assert json.loads(tfrecord.specification(found)) == {
        "features": {
            "features": {"dtype": "float32", "shape": [2]},
            "uri": text,
            "label": integer,
            "size": integer,
        },
        "about": found.about(),
    }
    kind = PixelFormat((4, 5, 3), "uint16", "hwc")
    pixels = content_of(shape=(4, 5, 3), kind=kind)
    raw = {"dtype": "string", "shape": [], "decode_raw": "uint16", "decoded_shape": [4, 5, 3]}
    assert json.loads(tfrecord.specification(pixels))["features"]["pixels"] == raw
    named = Content("fruit", 7, "m", "f", 1, (1,), ("梨",), FACTS)
    assert "梨" in tfrecord.specification(named)
    assert tfrecord.specification(named).endswith("}\n")


# The estimate


def test_the_estimate_is_a_straight_line_through_two_samples() -> None:
    written: list[tuple[int, list[str], str]] = []

    def write(found: Content, batches: Iterator[Batch], path: Path) -> None:
        rows = list(batches)
        uris = [uri for batch in rows for uri in batch.facts["uri"].to_pylist()]
        assert [int(value) for batch in rows for value in batch.values[:, 0]] == [int(uri[7:]) for uri in uris]
        assert sum(len(batch.labels) for batch in rows) == found.rows
        written.append((found.rows, uris, path.name))
        path.write_bytes(b"x" * (100 + 10 * found.rows))
        path.with_name("beside").write_bytes(b"x" * 5)

    sample = [batch_of(5), batch_of(2, 5)]
    assert estimate.estimate(content_of(1000), sample, write, "a.csv") == 105 + 10 * 1000
    assert [(rows, name) for rows, _, name in written] == [(7, "a.csv"), (4, "a.csv")]
    assert written[1][1] == ["s3://b/0", "s3://b/2", "s3://b/4", "s3://b/5"]


def test_of_one_row_or_none_the_sample_is_all_that_is_known() -> None:
    def write(found: Content, batches: Iterator[Batch], path: Path) -> None:
        path.write_bytes(b"x" * 30 * found.rows)

    assert estimate.estimate(content_of(10), [batch_of(1)], write, "a.csv") == 300
    assert estimate.estimate(content_of(0), [], write, "a.csv") == 0
