from __future__ import annotations

import pytest

from imagefeatures import layout
from imagefeatures.layout import Layout, shard_name, shard_of_receipt
from imagefeatures.steps import SPARK_STEPS

RUN = Layout("s3://b/lake", "fruit", "2026-11-02", "r1")


def test_a_runs_files_lie_where_the_manual_says() -> None:
    assert RUN.run_file == "s3://b/lake/staging/fruit/2026-11-02/r1/run.json"
    assert RUN.listing_summary == "s3://b/lake/staging/fruit/2026-11-02/r1/ingest/listing.json"
    assert RUN.listing(3, "ab") == "s3://b/lake/staging/fruit/2026-11-02/r1/ingest/listing/shard-00003-ab.parquet"
    assert RUN.receipt("resize", 12) == "s3://b/lake/staging/fruit/2026-11-02/r1/resize/shard-00012.json"
    assert layout.table_folder("s3://b/lake", "fruit") == "s3://b/lake/warehouse/features/fruit"
    assert layout.model_folder("s3://b/lake", "f00d") == "s3://b/lake/models/f00d"


@pytest.mark.parametrize("step", SPARK_STEPS)
def test_names_of_outputs_are_never_reused(step: str) -> None:
    assert len({RUN.new_output(step, 7) for _ in range(100)}) == 100


def test_feature_files_lie_in_the_table_and_all_others_in_the_runs_own_folder() -> None:
    table = "s3://b/lake/warehouse/features/fruit/data/partition_key=2026-11-02/r1-shard-00007-"
    assert RUN.new_output("featurize", 7).startswith(table)
    for step in SPARK_STEPS[:-1]:
        assert RUN.new_output(step, 7).startswith(f"{RUN.run}/{step}/shard-00007-")


@pytest.mark.parametrize("shard", [0, 12, 99_999, 100_000, 1_234_567])
def test_the_shard_can_be_read_from_the_name_of_its_receipt(shard: int) -> None:
    assert shard_of_receipt(f"{shard_name(shard)}.json") == shard


@pytest.mark.parametrize(
    "name",
    [
        "shard-00012-ab12cd34.parquet",
        "listing.json",
        "duplicates-00012.json",
        "shard-00012.json.part",
        ".shard-00012.json.ab12",
    ],
)
def test_no_other_file_counts_as_a_receipt(name: str) -> None:
    assert shard_of_receipt(name) is None
