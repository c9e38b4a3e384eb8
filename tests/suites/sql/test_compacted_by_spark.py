"""A table whose files Spark has rewritten: upkeep sweeps it, it is read as before, and its vectors are reused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from imagefeatures import names
from imagefeatures.catalog import tables
from imagefeatures.datasets import Dataset
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.growing import folder_of, read_whole_past
from support.photos import fill, jpeg
from support.redriving import Partition
from support.sql_shell import spark_sql
from support.upkeep_model import named, stored

COUNT = 5
REWRITTEN = (
    f"CALL {names.CATALOG}.system.rewrite_data_files(table => 'features.photos', options => map('rewrite-all', 'true'))"
)


def test_what_spark_has_compacted_is_swept_read_and_reused(on_sqlite: Settings, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(COUNT)} | {"bad.jpg": b""})
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{photos}/"})
    partition = Partition(dataset, on_sqlite)
    partition.publish(shard_images=2)
    before = partition.features
    table = tables.open_catalog(on_sqlite).load_table("features.photos")
    apart = {task.file.file_path for task in table.scan().plan_files()}
    head, counts = spark_sql(REWRITTEN)
    assert dict(zip(head, counts, strict=True))["rewritten_data_files_count"] == str(len(apart))
    assert len(apart) > 1
    table.refresh()
    (compacted,) = (task.file.file_path for task in table.scan().plan_files())
    assert compacted.startswith("file:/") and not compacted.startswith("file://")
    stray = folder_of(table) / "data" / "left.parquet"
    stray.write_bytes(b"abc")
    report = work.upkeep(on_sqlite, dry_run=False, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=100))
    assert report.refused == []
    assert not stray.exists()
    table.refresh()
    assert stored(table).keys() == named(table)
    assert all(Path(uri.removeprefix("file://")).exists() for uri in apart)  # the run's tag still names them
    assert partition.features == before
    assert read_whole_past(table) == [COUNT, COUNT]
    partition.publish()
    assert (partition.run["registered"], partition.run["reused"]) == (COUNT, COUNT)
    partition.check()
