"""What forgetting does to tables: one that was dropped stops nothing, and what has expired goes from all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read
from imagefeatures.catalog import retention, tables
from imagefeatures.forget import pending, work
from imagefeatures.settings import Settings
from imagefeatures.thumbnails.folder import ThumbnailFolder
from support.forgetting import request
from support.photos import fill, jpeg
from support.redriving import names_of, small_partition
from support.several import FIRST, SECOND, Lake
from support.shared import PARTITION


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


def test_an_image_leaves_the_tables_of_all_models_and_files_without_it_stay(tmp_path: Path, settings: Settings) -> None:
    first = fill(tmp_path / "photos" / PARTITION, {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    fill(tmp_path / "photos" / "2026-11-30", {"c.jpg": jpeg(3)})
    lake = Lake(settings, first.parent)
    for day in (PARTITION, "2026-11-30"):
        lake.published(FIRST, SECOND, partition=day)

    def files(table: str) -> dict[str, int]:
        paths = [uri.removeprefix("file://") for uri in read.files(settings, table)]
        return {path: Path(path).stat().st_mtime_ns for path in paths if "2026-11-30" in path}

    names = ("photos", f"photos__{SECOND}")
    before = [files(name) for name in names]
    (report,) = work.forget(request([hashlib.sha256(jpeg(1)).hexdigest()]), "ada", settings)
    assert report.tables == {f"features.{name}" for name in names}
    assert [set(lake.rows(name)) for name in names] == [{"b.jpg"}, {"b.jpg"}]
    assert all(before)
    assert [files(name) for name in names] == before


def test_thumbnails_of_the_images_go_and_others_stay(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    settings = Settings.from_env()
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    images = {uri.rpartition("/")[2]: row["image_id"] for uri, row in partition.features.items()}
    folder = ThumbnailFolder(settings.cache / "thumbnails")
    for image in images.values():
        folder.keep("photos", image, b"a thumbnail")
    for dry_run, left in ((True, b"a thumbnail"), (False, None)):
        work.forget(request([images["a.jpg"]], dry_run=dry_run), "ada", settings)
        assert folder.read("photos", images["a.jpg"]) == left
    assert folder.read("photos", images["b.jpg"]) == b"a thumbnail"
