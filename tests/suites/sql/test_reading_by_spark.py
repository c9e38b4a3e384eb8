"""Spark SQL, with Iceberg's runtime for Java, sees the very table that was published."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures.catalog import tables
from imagefeatures.settings import REPOSITORY, Settings
from support.growing import run_file
from support.publishing import DAY
from support.sql_shell import spark_sql


def test_spark_sql_reads_the_same_rows_and_the_same_past(published: Settings) -> None:
    table = tables.open_catalog(published).load_table("features.fruit")
    snapshots = [snapshot.snapshot_id for snapshot in table.snapshots()]
    odd = """'"; echo $HOME `id` \\u00e9 %'"""
    printed = spark_sql(
        f"""
        SELECT label, count(*) FROM features.fruit GROUP BY label;
        SELECT count(*) AS {"then"} FROM features.fruit VERSION AS OF {snapshots[1]};
        SELECT run_id, uri, size(features), features[3] FROM features.fruit WHERE partition_key = '2026-11-02';
        SELECT snapshot_id FROM features.fruit.snapshots;
        SELECT {odd} AS odd
        """
    )
    assert printed[0] == ["label", "count(1)"]
    assert sorted(printed[1:4]) == [["blue", "1"], ["green", "3"], ["red", "2"]]
    assert sorted(printed[1:4]) == [[label, str(count)] for label, count in sorted(counted(table.scan()).items())]
    assert printed[4:6] == [["then"], [str(table.scan(snapshot_id=snapshots[1]).count())]]
    assert printed[5] == ["4"]
    rows = table.scan(row_filter="partition_key == '2026-11-02'").to_arrow().to_pylist()
    assert sorted(printed[7:12]) == sorted([r["run_id"], r["uri"], "4", "0.5"] for r in rows)
    assert {int(row[0]) for row in printed[13:-2]} == set(snapshots)
    assert printed[-2:] == [["odd"], ['"; echo $HOME `id` é %']]
    assert not Path(REPOSITORY, "metastore_db").exists()


def test_spark_sql_reads_what_was_published_after_the_clock_went_back(
    on_sqlite: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, now = tables.open_table(tables.open_catalog(on_sqlite), on_sqlite, "photos"), time.time()
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now + 7_200)
        tables.replace_files(table, DAY, [run_file(on_sqlite, "first")], "first")
    tables.replace_files(table, DAY, [run_file(on_sqlite, "second")], "second")
    query = "SELECT DISTINCT run_id FROM features.photos; SELECT count(*) FROM features.photos.snapshots"
    assert spark_sql(query) == [["run_id"], ["second"], ["count(1)"], ["3"]]


def test_a_mistake_in_the_query_is_told_and_the_status_says_so(on_sqlite: Settings) -> None:
    command = [sys.executable, "-m", "deploy.local", "spark-sql"]
    env = os.environ | {"QUERY": "SELECT * FROM features.no_such_table"}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in done.stderr
    assert "resolving dependencies" not in done.stderr


def counted(scan: object) -> Counter[str]:
    return Counter(scan.to_arrow()["label"].to_pylist())  # type: ignore[attr-defined]
