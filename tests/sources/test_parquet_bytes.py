"""Parquet files with the images' bytes: how they are read, and what is damaged or changed in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import manifest
from imagefeatures.errors import InputError, Rejected
from imagefeatures.sources import Item, ParquetBytes
from imagefeatures.storage import object_reader
from support.doors import parquet
from support.listing import WORKERS
from support.photos import fill
from support.shared import MakeRun

NOISE = np.random.default_rng(0)
MOST = 1 << 20


def blobs(count: int, size: int = 3000) -> list[bytes]:
    return [NOISE.bytes(size) for _ in range(count)]


def source_of(path: Path, **fields: Any) -> ParquetBytes:
    return ParquetBytes(kind="parquet_bytes", uri=f"file://{path}", **fields)


def fetched(source: ParquetBytes, items: list[Item]) -> list[bytes | Rejected]:
    return list(source.fetch(items, MOST))


def written(tmp_path: Path, columns: dict[str, Any], **options: Any) -> Path:
    return fill(tmp_path, {"images.parquet": parquet(columns, **options)}) / "images.parquet"


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.struct({"bytes": pa.binary(), "path": pa.string()})]
)
def test_every_form_of_bytes_is_read_in_any_order(tmp_path: Path, kind: pa.DataType) -> None:
    images = blobs(50)
    values = [{"bytes": data, "path": "x"} for data in images] if pa.types.is_struct(kind) else images
    source = source_of(written(tmp_path, {"image": pa.array(values, kind)}, row_group_size=20))
    items = list(source.items())
    assert [item.uri for item in items] == [f"{source}#{number}" for number in range(50)]
    assert {item.etag for item in items} == {
        f"{tmp_path.joinpath('images.parquet').stat().st_mtime_ns:x}-{Path(str(source)[7:]).stat().st_size:x}"
    }
    some = [47, 3, 19, 20, 0]
    assert fetched(source, [items[number] for number in some]) == [images[number] for number in some]


@pytest.mark.parametrize(
    ("column", "others"),
    [
        ("image", {"image.bytes": [b"not", b"these"]}),
        ("image", {"image.caption": ["not", "these"]}),
        ("image.bytes", {"image": [{"bytes": b"not"}, {"bytes": b"these"}]}),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_column_with_a_dot_in_its_name_is_no_field_of_another(
    tmp_path: Path, column: str, others: dict[str, Any], before: bool
) -> None:
    images = blobs(2)
    of_a_struct = [{"bytes": data, "path": "x"} for data in images]
    wanted: dict[str, Any] = {column: of_a_struct if column == "image" else images}
    source = source_of(written(tmp_path, others | wanted if before else wanted | others), column=column)
    assert fetched(source, list(source.items())) == images


def test_a_shard_reads_its_row_group_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"image": blobs(400), "other": blobs(400, 9000)}, row_group_size=50)
    source = source_of(path)
    items = list(source.items())
    read: list[int] = []
    real = object_reader.ObjectReader.read

    def noted(reader: object_reader.ObjectReader, size: int = -1) -> bytes:
        data = real(reader, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(object_reader.ObjectReader, "read", noted)
    assert list(source.items()) == items
    listing = sum(read)
    assert listing < 100_000  # the footer alone
    read.clear()
    assert all(isinstance(data, bytes) for data in fetched(source, items[60:90]))
    assert sum(read) - listing < 50 * 3000 * 1.3


def test_shards_are_cut_by_what_the_row_groups_weigh(make_run: MakeRun, tmp_path: Path) -> None:
    path = written(tmp_path, {"image": blobs(64, 100_000)}, row_group_size=16)
    run = make_run({"kind": "parquet_bytes", "uri": f"file://{path}"}, {"shard_bytes": 1 << 20})
    listing = manifest.list_source(run, WORKERS)
    sizes = [manifest.read_manifest(run, shard).num_rows for shard in range(listing.shards)]
    assert sum(sizes) == 64
    assert max(sizes) <= 10


def test_a_damaged_row_group_costs_its_own_rows_and_no_others(tmp_path: Path) -> None:
    images = blobs(30)
    path = written(tmp_path, {"image": images, "id": list(range(30))}, row_group_size=10, write_page_checksum=True)
    source = source_of(path, key="id")
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    items = list(source.items())
    assert [item.key for item in items] == [str(number) for number in range(30)]
    found = fetched(source, items)
    assert found[:10] + found[20:] == images[:10] + images[20:]
    for why in found[10:20]:
        assert isinstance(why, Rejected)
        assert why.reason == "CORRUPT"
        assert why.detail.startswith("row group 1 cannot be read (")


def test_damage_in_the_keys_is_a_row_for_each_image_without_one(tmp_path: Path) -> None:
    path = written(tmp_path, {"image": blobs(30), "id": [f"key {n}" for n in range(30)]}, row_group_size=10)
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(1)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    items = list(source_of(path, key="id").items())
    assert len({item.uri for item in items}) == 30
    assert [item.key for item in items[:20]] == [f"key {number}" for number in range(20)]
    assert {str(item.rejected).split(" (")[0] for item in items[20:]} == {"CORRUPT: row group 2 cannot be read"}


def test_a_file_that_is_replaced_or_gone_gives_no_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, {"image": blobs(5)})
    source = source_of(path)
    items = list(source.items())
    written(tmp_path, {"image": blobs(6)})
    found = fetched(source, items)
    assert {why.reason for why in found if isinstance(why, Rejected)} == {"CHANGED_DURING_RUN"}
    path.unlink()
    found = fetched(source, items)
    assert [str(why) for why in found] == ["NOT_FOUND: its file was listed, and gone when it was read"] * 5


def test_an_image_over_the_limit_is_rejected_by_its_size(tmp_path: Path) -> None:
    source = source_of(written(tmp_path, {"image": [b"x" * 50, b"x" * 2000]}))
    small, large = source.fetch(list(source.items()), 1000)
    assert small == b"x" * 50
    assert str(large) == "TOO_LARGE: it has 2,000 bytes, limits.max_bytes is 1,000"


@pytest.mark.parametrize(
    ("columns", "fields", "refusal"),
    [
        ({"photo": [b"x"]}, {}, "there is no column 'image'; there are photo"),
        ({"image": [b"x"]}, {"key": "id"}, "there is no column 'id'"),
        ({"image": ["text"]}, {}, "column 'image' is string, and neither bytes nor"),
        ({"image": [{"path": "x"}]}, {}, "neither bytes nor"),
    ],
)
def test_a_column_that_is_not_there_is_refused(
    tmp_path: Path, columns: dict[str, Any], fields: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        list(source_of(written(tmp_path, columns), **fields).items())


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_page_that_claims_fewer_rows_leaves_no_key_out_in_silence(
    tmp_path: Path, version: str, labelled: bool
) -> None:
    count = 20
    rows = {"image": [b"x"] * count, "id": list(map(str, range(count))), "kind": ["fig"] * count}
    plain: dict[str, Any] = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    data = parquet(rows, data_page_version=version, **plain)
    path = written(tmp_path, rows)
    source = source_of(path, key="id", **({"label": {"column": "kind"}} if labelled else {}))
    rejected = 0
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for at in (at for at, byte in enumerate(data[:footer]) if byte == 2 * count):  # as Thrift writes the number
        for claimed in (0, 1, count - 1):
            path.write_bytes(data[:at] + bytes([2 * claimed]) + data[at + 1 :])
            items = list(source.items())
            assert len(items) == count
            rejected += sum(item.rejected is not None for item in items)
            whole = [(str(at), "fig" if labelled else None) for at in range(count)]
            assert all(item.rejected or (item.key, item.label) == whole[at] for at, item in enumerate(items))
    assert rejected
