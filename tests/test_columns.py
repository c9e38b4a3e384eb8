"""What a row of features.runs says by two of its columns together."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from imagefeatures import columns

NOON = dt.datetime(2026, 11, 3, 12, tzinfo=dt.UTC)


def test_a_column_is_never_null_and_says_nothing_unless_it_is_told_to() -> None:
    plain, told = columns.column("a", pa.string()), columns.column("a", pa.string(), "A letter", nullable=True)
    assert (plain.nullable, plain.metadata) == (False, None)
    assert (told.nullable, told.metadata) == (True, {b"doc": b"A letter"})


def test_what_a_run_took_has_a_column_for_each_step_and_of_older_rows_is_null() -> None:
    assert [(field.name, str(field.type)) for field in columns.STEP_COLUMNS] == [
        (f"{step}_{what}", kind)
        for step in ("ingest", "validate", "resize", "featurize")
        for what, kind in (("seconds", "double"), ("images", "int64"), ("bytes", "int64"))
    ]
    assert [(field.name, str(field.type)) for field in columns.COST_COLUMNS] == [
        *(
            (f"{step}_{what}", kind)
            for step in ("plan", "ingest", "validate", "resize", "featurize", "register")
            for what, kind in (("core_seconds", "double"), ("peak_memory", "int64"))
        ),
        *((f"{what}_{how}", "int64") for what, how in (("bytes", "read"), ("bytes", "written"))),
        *((f"{what}_requests", "int64") for what in ("get", "put", "http")),
        ("images_per_core_second", "double"),
        ("joules", "double"),
    ]
    later = [*columns.COST_COLUMNS, *columns.OUTPUT_COLUMNS, columns.COPIES_COLUMN, columns.SLOWEST_COLUMN]
    assert {field.nullable for field in columns.STEP_COLUMNS} == {False}
    assert {field.nullable for field in later} == {True}
    # Drift is of no run that has no earlier ones, and of no table without vectors.
    assert [field.name for field in columns.STATISTICS_COLUMNS if field.nullable] == [
        "mean",
        "covariance",
        "drift",
        "drift_probability",
        "drift_bound",
    ]
    assert not [field.name for field in columns.FORGOTTEN_COLUMNS if field.nullable]


def test_what_a_list_holds_is_never_null() -> None:
    of = {field.name: str(field.type) for field in columns.STATISTICS_COLUMNS}
    assert of["mean"] == of["covariance"] == "list<element: float not null>"
    shard = "step: string not null, shard: int32 not null, images: int64 not null, seconds: double not null"
    assert str(columns.SLOWEST_COLUMN.type) == f"list<element: struct<{shard}> not null>"


@pytest.mark.parametrize(("run", "rows"), [({}, 1), ({"copies": None}, 1), ({"copies": 0}, 1), ({"copies": 3}, 4)])
def test_an_image_has_a_row_and_one_for_each_copy(run: dict[str, int | None], rows: int) -> None:
    assert columns.rows_of_image(run) == rows
    assert columns.rows_of_run(run | {"registered": 5}) == 5 * rows


def test_the_quarantined_share_of_nothing_is_none() -> None:
    assert columns.quarantine_rate({"quarantined": 3, "listed": 12}) == 0.25
    assert columns.quarantine_rate({"quarantined": 0, "listed": 0}) == 0.0


@pytest.mark.parametrize(("seconds", "rate"), [(4, 3.0), (0.5, 24.0), (0, 12_000.0)])
def test_images_per_second_count_from_plan_to_publication(seconds: float, rate: float) -> None:
    run = {"ingest_images": 12, "started_at": NOON, "finished_at": NOON + dt.timedelta(seconds=seconds)}
    assert columns.images_per_second(run) == rate
