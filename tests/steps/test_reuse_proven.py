"""reuse takes a row of the table only when it passes every check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import schemas, sealed, storage
from imagefeatures.errors import StoreError
from imagefeatures.steps import resize, reuse
from support.photos import fill, jpeg
from support.reusing import WIDTH, Make, Spy, begun, finished, local, merged, planner
from support.shared import MakeRun


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path) -> Make:
    return planner(make_run, tmp_path / "photos")


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "fingerprint": lambda row: row.update(fingerprint="0" * 32),
    "no fingerprint": lambda row: row.update(fingerprint=None),
    "model": lambda row: row.update(model="other"),
    "image_id": lambda row: row.update(image_id="0" * 64),
    "no image_id": lambda row: row.update(image_id=None),
    "nan": lambda row: row["features"].__setitem__(7, float("nan")),
    "infinity": lambda row: row["features"].__setitem__(7, float("-inf")),
    "no value": lambda row: row["features"].__setitem__(7, None),
    "narrow": lambda row: row["features"].pop(),
    "wide": lambda row: row["features"].append(0.5),
    "no vector": lambda row: row.update(features=None),
    "no width": lambda row: row.update(width=None),
    "no height": lambda row: row.update(height=None),
    "no mode": lambda row: row.update(mode=None),
}
ANYTHING = pa.schema([field.with_nullable(True) for field in schemas.FEATURES])


def tampered(file: tuple[str, int]) -> tuple[str, int]:
    """Write the file again with a change in each row but the last. Returns its URI and new size."""
    path = local(file[0])
    rows = pq.read_table(path).to_pylist()
    for row, change in zip(rows[:-1], CHANGES.values(), strict=True):
        change(row)
    schema = ANYTHING.set(ANYTHING.get_field_index("features"), pa.field("features", pa.list_(pa.float32())))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return file[0], path.stat().st_size


@pytest.mark.parametrize("searched", ["after", "before"])
def test_an_invalid_row_is_computed_again_and_valid_rows_are_reused(
    make_run: MakeRun, tmp_path: Path, searched: str
) -> None:
    """searched "after": the search reads altered rows. "before": the rows are altered after the search."""
    files = {f"{at:02d} {change}.jpg": jpeg(at) for at, change in enumerate([*CHANGES, "as it was"])}
    source = fill(tmp_path / "many", files)
    first = finished(begun(make_run(source)))
    whole = merged(first, tmp_path / "whole.parquet")
    run = begun(make_run(source), [whole]) if searched == "before" else make_run(source)
    known = [tampered(whole)]
    storage.write(run.layout.known_files, sealed.encode({"files": known}))
    second = finished(run if searched == "before" else begun(run, known))
    assert (second.reused, second.computed) == (1, len(CHANGES))
    assert second.vectors == first.vectors
    assert [row | {"run_id": ""} for row in second.rows] == [row | {"run_id": ""} for row in first.rows]


def test_the_search_offers_only_rows_of_the_fingerprint_that_name_their_image(make: Make, tmp_path: Path) -> None:
    """Another row would be refused later, and stand in the way of a good one behind it."""
    first = finished(begun(make()))
    uri, _ = merged(first, tmp_path / "whole.parquet")
    rows = pq.read_table(local(uri)).to_pylist()
    rows[1].update(fingerprint="0" * 32)
    rows[3].update(fingerprint=None)
    rows[4].update(image_id=None)
    rows[6].update(image_id="")
    pq.write_table(pa.Table.from_pylist(rows, schema=ANYTHING), local(uri))
    file = reuse.KnownFile(uri, local(uri).stat().st_size)
    expected = [(rows[row]["image_id"], (7, row)) for row in (0, 2, 5, 7)]
    assert list(reuse.row_locations(make(), (7, file))) == expected


def flip(path: Path, share: float) -> None:
    """Flip a bit of the vectors at this share of their column."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.startswith("features"))
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start + int(column.total_compressed_size * share)] ^= 1
    path.write_bytes(data)


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: path.unlink(),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-9]),
    lambda path: path.write_bytes(b"text" * 1000),
    lambda path: pq.write_table(pa.table({"image_id": [1.5]}), path),
    lambda path: flip(path, 0.1),
]


@pytest.mark.parametrize("searched", ["after", "before"])
def test_a_file_that_cannot_be_read_is_ignored(make: Make, searched: str) -> None:
    one_each = {"shard_images": 1}
    first = finished(begun(make(one_each)))
    run = begun(make(one_each), first.files) if searched == "before" else make(one_each)
    for (uri, _), damage in zip(first.files, DAMAGES, strict=False):
        damage(local(uri))
    second = finished(run if searched == "before" else begun(run, first.files))
    assert (second.reused, second.computed) == (8 - len(DAMAGES), len(DAMAGES))
    assert second.vectors == first.vectors


class Noise(Spy):
    """Random vectors, which hardly compress: with a flipped bit the file stays readable and has other numbers."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.random.default_rng(len(pixels)).random(super().features(pixels).shape, np.float32)


def test_a_flipped_bit_is_found_by_the_checksum_that_featurize_wrote(make: Make) -> None:
    first = finished(begun(make()), Noise())
    run = begun(make(), first.files)
    path = local(first.files[0][0])
    as_written = path.read_bytes()
    assert reuse.known_images(run, 0).num_rows == 3
    for share in np.linspace(0.05, 0.95, 10):
        flip(path, share)
        assert reuse.known_images(run, 0).num_rows == 0
        path.write_bytes(as_written)


def test_files_with_uris_of_other_writers_schemes_are_ignored(make: Make) -> None:
    first = finished(begun(make()))
    others = ["s3a://bucket/file.parquet", "file:/single/slash.parquet", "hdfs://x/y"]
    second = finished(begun(make(), [*((uri, 1000) for uri in others), *first.files]))
    assert (second.reused, second.computed) == (8, 0)


def test_a_store_that_does_not_answer_stops_the_step(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished(begun(make()))
    run = begun(make(), first.files)

    def silent(*_: object) -> bytes:
        raise StoreError("no answer in 60 s")

    for name in ("read_part", "read_into"):
        monkeypatch.setattr(storage, name, silent)
    with pytest.raises(StoreError, match="no answer in 60 s"):
        list(reuse.row_locations(run, (0, reuse.KnownFile(*first.files[0]))))
    with pytest.raises(StoreError, match="no answer in 60 s"):
        resize.run_shard(run, 0)


def test_files_of_many_row_groups_give_the_same_rows(make: Make, tmp_path: Path) -> None:
    first = finished(begun(make()))
    whole = merged(first, tmp_path / "whole.parquet", [5, 2, 7, 0, 1, 6, 3, 4], row_group_size=3)
    second = finished(begun(make(), [whole]))
    assert (second.reused, second.vectors) == (8, first.vectors)


def test_the_search_reads_two_columns_and_no_vector(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    image_ids = [f"{at:064x}" for at in range(500)]
    rows = [dict.fromkeys(ANYTHING.names) | {"image_id": i, "fingerprint": run.fingerprint} for i in image_ids]
    noise = np.random.default_rng(0).random((500, WIDTH), np.float32)
    features = pa.ListArray.from_arrays(np.arange(501, dtype=np.int32) * WIDTH, noise.reshape(-1))
    table = pa.Table.from_pylist(rows, schema=ANYTHING.remove(ANYTHING.get_field_index("features")))
    uri = f"{run.lake}/file.parquet"
    pq.write_table(table.append_column("features", features), uri.removeprefix("file://"), row_group_size=200)
    size = local(uri).stat().st_size
    read, real = [], storage.read_into

    def noted(uri: str, start: int, memory: memoryview) -> int:
        read.append(len(memory))
        return real(uri, start, memory)

    monkeypatch.setattr(storage, "read_into", noted)
    found = list(reuse.row_locations(run, (4, reuse.KnownFile(uri, size))))
    assert found == [(image_id, (4, row)) for row, image_id in enumerate(image_ids)]
    assert 0 < sum(read) < size / 15
