"""What a catalog says is published: the run of a partition, and a dataset's other partitions."""

from __future__ import annotations

from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.growing import runs_row
from support.publishing import DAY


def test_where_nothing_is_published_there_is_no_run_and_no_partition_and_no_table_is_made(settings: Settings) -> None:
    catalog = tables.open_catalog(settings)
    assert tables.other_partitions(catalog, "photos", DAY) == []
    assert catalog.list_tables("features") == []
    assert tables.published(catalog, settings, "photos", DAY) is None


def test_the_other_partitions_of_a_dataset_are_sorted_and_those_of_another_dataset_are_not_among_them(
    settings: Settings,
) -> None:
    catalog = tables.open_catalog(settings)
    runs = tables.open_table(catalog, settings, "runs")
    for dataset, day in [("photos", "2026-11-05"), ("photos", DAY), ("photos", "2026-11-03"), ("nuts", "2026-11-04")]:
        tables.replace_rows(runs, day, dataset, runs_row(dataset, f"{dataset} {day}", day), f"{dataset} {day}")
    assert tables.other_partitions(catalog, "photos", DAY) == ["2026-11-03", "2026-11-05"]
    assert tables.other_partitions(catalog, "nuts", DAY) == ["2026-11-04"]
    assert tables.other_partitions(catalog, "fruit", DAY) == []
    row = tables.published(catalog, settings, "photos", DAY)
    assert row is not None and row["run_id"] == f"photos {DAY}"
