"""Which metadata files are of a table's own past, where each names only a few of those before it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.snapshots import MetadataLogEntry
from pyiceberg.table.sorting import SortOrder

from imagefeatures.catalog import past
from imagefeatures.errors import CatalogRefused


def metadata(folder: Path, *earlier: int) -> TableMetadata:
    """Of a table whose log names these versions."""
    return TableMetadataV2(
        location=f"file://{folder}", last_column_id=0, schemas=[Schema()], partition_specs=[PartitionSpec()],
        sort_orders=[SortOrder()], last_sequence_number=0,
        metadata_log=[MetadataLogEntry(metadata_file=of(folder, version), timestamp_ms=version) for version in earlier],
    )  # fmt: skip


def of(folder: Path, version: int) -> str:
    return f"file://{folder}/{version:05}-ab.metadata.json"


def table_of(folder: Path, logs: dict[int, list[int]]) -> Table:
    """A table whose last version is 6. logs: the versions that each version's file names."""
    for version, earlier in logs.items():
        Path(of(folder, version).removeprefix("file://")).write_text(metadata(folder, *earlier).model_dump_json())
    io = PyArrowFileIO()
    return cast("Table", SimpleNamespace(metadata=metadata(folder, *logs[6]), io=io, name=lambda: ("features", "t")))


def forgotten(folder: Path, logs: dict[int, list[int]], there: range = range(7)) -> list[int]:
    found = past.forgotten_by_log(table_of(folder, logs), {of(folder, version) for version in there})
    return sorted(int(Path(uri).name[:5]) for uri in found)


def test_the_log_of_each_oldest_file_goes_on_where_the_later_one_ends(tmp_path: Path) -> None:
    assert forgotten(tmp_path, {6: [4, 5], 4: [2, 3], 2: [0, 1], 0: []}) == [0, 1, 2, 3]


def test_a_file_that_is_gone_is_passed_over_for_the_next_of_the_same_log(tmp_path: Path) -> None:
    assert forgotten(tmp_path, {6: [4, 5], 5: [3, 4], 3: [1, 2], 1: [0]}, range(1, 4)) == []
    assert forgotten(tmp_path, {6: [4, 5], 5: [3, 4], 3: [1, 2], 1: [0]}, range(5, 6)) == [3]
    assert forgotten(tmp_path, {6: [4, 5], 5: [3, 4], 3: [1, 2], 1: [0]}, range(3, 6, 2)) == [1, 2, 3]


def test_a_file_that_is_gone_meanwhile_ends_the_search(tmp_path: Path) -> None:
    assert forgotten(tmp_path, {6: [4, 5]}) == []


def test_a_log_that_names_its_own_file_ends_the_search(tmp_path: Path) -> None:
    assert forgotten(tmp_path, {6: [4, 5], 4: [2, 3], 2: [2, 3]}) == [2, 3]


def test_a_file_that_cannot_be_read_refuses_the_sweep(tmp_path: Path) -> None:
    table = table_of(tmp_path, {6: [5]})
    (tmp_path / "00005-ab.metadata.json").write_text("{")
    with pytest.raises(CatalogRefused, match=r"^features\.t: file://.*/00005-ab\.metadata\.json cannot be read \("):
        past.forgotten_by_log(table, {of(tmp_path, 5)})


def test_only_the_name_of_a_metadata_file_says_a_version() -> None:
    assert past.version("00012-5f9a.metadata.json") == 12
    assert past.version("snap-12.avro") is None
