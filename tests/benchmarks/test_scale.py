"""docs/scale.md holds what benchmarks.scale writes, and the arithmetic of benchmarks.scale."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import scale
from benchmarks.report import RESULTS


def test_the_document_holds_what_the_script_says() -> None:
    text = scale.results()
    assert (RESULTS / "scale.md").read_text() == text
    assert scale.BEGIN + text + scale.END in scale.DOCUMENT.read_text()


def test_requests_are_split_into_those_for_shards_and_for_images() -> None:
    # 2 for each shard and 1 for each image: 514 with one shard, 576 with 32.
    split = scale._split(Counter(GET=514, PUT=2), Counter(GET=576, PUT=64), 31)
    assert split["shard"] == {"GET": 2, "PUT": 2}
    assert split["image"] == {"GET": 1, "PUT": 0}
    total = scale.requests({"requests": {"ingest": split}}, "ingest", 1_000_000)
    assert total == {"GET": 1_000_000 + 2 * 1954, "PUT": 2 * 1954}


def test_counted_requests_are_whole_numbers() -> None:
    counted = json.loads((RESULTS / "scale.json").read_text())
    for step, each in counted["requests"].items():
        for kind in ("GET", "PUT"):
            assert each["shard"][kind] == pytest.approx(round(each["shard"][kind]), abs=0.2), step
            assert each["image"][kind] == pytest.approx(1 if (step, kind) == ("ingest", "GET") else 0, abs=0.01), step


def test_a_price_is_the_rate_and_the_requests_by_what_they_cost() -> None:
    counted = {
        "requests": {step: {"shard": {"GET": 0, "PUT": 0}, "image": {"GET": 1, "PUT": 0}} for step in scale.STEPS},
    }
    bench = {"machine": {"cores": 2}, "rates": {step: [200.0, 400.0, 200.0] for step in scale.SPARK_STEPS}}
    rows = scale._price_rows(counted, bench, scale.Prices(core_hour=0.36, thousand_writes=2, thousand_reads=0.5))
    # 4 steps x 10,000 core-seconds; 5 million GET; 1,000 LIST.
    assert [row[1] for row in rows] == ["4.000", "2,500.000", "2.000", "2,506.000"]
