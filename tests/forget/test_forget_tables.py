"""What forgetting does to tables: one that was dropped stops nothing, and what has expired goes from all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read
from imagefeatures.catalog import retention, tables
from imagefeatures.forget import pending, work
from imagefeatures.settings import Settings
from support.forgetting import request
from support.redriving import names_of, small_partition


@pytest.mark.parametrize(
    ("dropped", "left"), [("photos", "photos_pixels"), ("photos_pixels", "photos")], ids=["vectors", "pixels"]
)
def test_the_tables_that_are_left_are_counted(tmp_path: Path, settings: Settings, dropped: str, left: str) -> None:
    partition = small_partition(tmp_path / "photos", settings, pixels="keep", limits={"max_rejected": 1})
    (image,) = [row["image_id"] for uri, row in partition.features.items() if uri.endswith("/a.jpg")]
    with tables.open_catalog(settings) as catalog:
        catalog.drop_table(("features", dropped))
    (report,) = work.forget(request([image]), "ada", settings)
    assert report.rows == 1
    assert names_of(partition.rows(left)) == {"b.jpg"}
    assert [partition.run[name] for name in ("listed", "registered", "quarantined")] == [4, 1, 3]
    assert list(pending.all_of(settings.lake)) == []
    with tables.open_catalog(settings) as catalog:
        assert not catalog.table_exists(("features", dropped))


def test_a_run_all_of_whose_tables_were_dropped_stays_as_it_is(tmp_path: Path, settings: Settings) -> None:
    partition = small_partition(tmp_path / "photos", settings, pixels="keep", limits={"max_rejected": 1})
    (image,) = [row["image_id"] for uri, row in partition.quarantine.items() if uri.endswith("/cut.jpg")]
    with tables.open_catalog(settings) as catalog:
        for name in ("photos", "photos_pixels"):
            catalog.drop_table(("features", name))
    (report,) = work.forget(request([image]), "ada", settings)
    assert report.rows == 1
    assert names_of(partition.quarantine) == {"empty.jpg", "text.jpg"}
    assert list(pending.all_of(settings.lake)) == []
    assert read.runs(settings)


def test_expired_snapshots_are_cleaned_up_in_each_table_that_was_changed(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    (image,) = [row["image_id"] for uri, row in partition.features.items() if uri.endswith("/a.jpg")]
    cleaned: list[tuple[str, int]] = []

    def clean(table: Any, lake: str) -> int:
        assert lake == settings.lake
        cleaned.append((table.name()[-1], len(list(pending.all_of(lake)))))
        return 0

    monkeypatch.setattr(retention, "remove_expired", clean)
    work.forget(request([image]), "ada", settings)
    assert cleaned == [("photos", 1), ("runs", 1), ("forgotten", 1)]
    assert read.table(settings, "forgotten").num_rows == 1
