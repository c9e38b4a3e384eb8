"""The wide table of the benchmark, the hosts that its URLs lead to, and its report. Nothing here is timed."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import http_clients, url_table, wide_table
from benchmarks.loopback_hosts import loopback_hosts
from benchmarks.report import RESULTS
from imagefeatures.settings import REPOSITORY


def test_the_table_is_wide_and_each_of_its_urls_has_its_own_answer(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(wide_table, "GROUP_ROWS", 20)
    with loopback_hosts([b"one", b"two"]) as origins:
        size = wide_table.write(tmp_path / "tables" / "wide.parquet", origins, 50)
        file = pq.ParquetFile(tmp_path / "tables" / "wide.parquet")
        assert (tmp_path / "tables" / "wide.parquet").stat().st_size == size
        assert (file.num_row_groups, file.metadata.num_columns) == (3, wide_table.COLUMNS)
        rows = file.read(["id", *wide_table.KINDS]).to_pylist()
        assert [row["id"] for row in rows] == list(range(50))
        assert len({row["image"].rpartition("/image/")[0] for row in rows}) == len(http_clients.HOSTS)
        answers = {kind: [get(row[kind]) for row in rows] for kind in wide_table.KINDS}
    assert len(set(answers["image"])) == len(set(answers["tiny"])) == 50
    assert {len(answer) for answer in answers["image"]} == {len(http_clients.BODY)}
    assert answers["photo"] == [b"one", b"two"] * 25


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read()


def test_the_document_shows_the_results_that_lie_in_the_repository() -> None:
    text = (RESULTS / "url_table.md").read_text()
    assert text == url_table.markdown(json.loads((RESULTS / "url_table.json").read_text()))
    assert text in (REPOSITORY / "docs" / "performance.md").read_text()
