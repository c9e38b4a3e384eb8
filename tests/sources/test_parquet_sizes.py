"""Footers that claim too much, and the weight of images that repeat."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import manifest
from imagefeatures.errors import InputError
from imagefeatures.sources import ParquetBytes, PassedOver, UrlTable, parquet_sizes
from support.doors import parquet
from support.listing import WORKERS
from support.photos import fill
from support.shared import MakeRun

ROWS = 777


def varint(value: int) -> bytes:
    """A whole number as Thrift's compact form has it."""
    value, parts = 2 * value, bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def with_claim(data: bytes, claim: int, times: int = -1) -> bytes:
    """The file with another count than ROWS at these many places of its footer."""
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8].replace(varint(ROWS), varint(claim), times)
    assert footer != data[-8 - length : -8]
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    ("claim", "times"), [(10**12, -1), *((claim, times) for claim in (10**12, ROWS + 1) for times in (1, 2, 3))]
)
def test_a_footer_that_claims_rows_that_are_not_there_is_a_damaged_file(tmp_path: Path, claim: int, times: int) -> None:
    columns: dict[str, Any] = {"image": [b"x%d" % at for at in range(ROWS)]}
    data = with_claim(parquet(columns, store_schema=False), claim, times)
    fill(tmp_path, {"a.parquet": data, "b.parquet": parquet({"image": [b"y"]})})
    began = time.monotonic()
    damaged, whole = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/").items()
    assert time.monotonic() - began < 5
    assert whole.rejected is None
    assert damaged.rejected is not None
    assert (damaged.uri, damaged.rejected.reason) == (f"file://{tmp_path}/a.parquet", "CORRUPT")


def test_a_table_whose_footer_claims_more_rows_is_refused(tmp_path: Path) -> None:
    columns = {"u": [f"file:///{at}" for at in range(ROWS)], "k": list(range(ROWS))}
    fill(tmp_path, {"t.parquet": with_claim(parquet(columns, store_schema=False), 10**12)})
    table = {"kind": "url_table", "table": f"file://{tmp_path}/t.parquet", "url": "u", "key": "k"}
    with pytest.raises(InputError, match="it is no whole Parquet file"):
        list(UrlTable.model_validate(table).items())


@pytest.mark.parametrize("kind", [pa.binary(), pa.struct({"bytes": pa.binary(), "path": pa.string()})], ids=str)
def test_shards_of_images_that_repeat_are_not_too_large(make_run: MakeRun, tmp_path: Path, kind: Any) -> None:
    images = [bytes([at % 3]) * 100_000 for at in range(64)]
    values = [{"bytes": data, "path": "x"} for data in images] if pa.types.is_struct(kind) else images
    fill(tmp_path, {"a.parquet": parquet({"image": pa.array(values, kind)})})
    run = make_run({"kind": "parquet_bytes", "uri": f"file://{tmp_path}/a.parquet"}, {"shard_bytes": 1 << 20})
    listing = manifest.list_source(run, WORKERS)
    sizes = [manifest.read_manifest(run, shard).num_rows for shard in range(listing.shards)]
    assert sum(sizes) == 64
    assert max(sizes) <= 10


def test_images_beside_larger_ones_than_the_limit_weigh_something(make_run: MakeRun, tmp_path: Path) -> None:
    images = [bytes([at]) * (100_000 if at % 2 else 1_100_000) for at in range(64)]
    fill(tmp_path, {"a.parquet": parquet({"image": images})})
    source = {"kind": "parquet_bytes", "uri": f"file://{tmp_path}/a.parquet"}
    run = make_run(source, {"shard_bytes": 2 << 20}, limits={"max_bytes": 500_000})
    listing = manifest.list_source(run, WORKERS)
    assert max(manifest.read_manifest(run, shard).num_rows for shard in range(listing.shards)) <= 8


@pytest.mark.parametrize("header", [b"", b"\x15", b"\x15\x04\x15\x80", b"\xff" * 64, bytes(64)])
def test_a_dictionary_that_makes_no_sense_says_nothing(header: bytes) -> None:
    assert parquet_sizes._dictionary(header) == (0, 0)


def test_a_csv_with_two_columns_of_the_name_is_refused_and_an_empty_one_among_others_passed_over(
    tmp_path: Path,
) -> None:
    table = UrlTable.model_validate({"kind": "url_table", "table": f"file://{tmp_path}/", "url": "u", "key": "k"})
    fill(tmp_path, {"a.csv": b"u,k,n,n\nfile:///a,1,2,3\n", "b.csv": b"", "c.jsonl": b""})
    passed = PassedOver()
    assert [item.key for item in table.items(passed)] == ["1"]
    assert dict(passed.counts) == {"empty_file": 2}
    assert [item.key for item in table.items()] == ["1"]
    for header in (b"u,k,k", b"u,u,k"):
        fill(tmp_path, {"a.csv": header + b"\nfile:///a,1,2\n"})
        with pytest.raises(InputError, match=r"there are 2 columns '.'; rename one$"):
            list(table.items())
