"""The parts of an upkeep: which models are used, whose things are known, and what is counted."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from pathlib import Path

import pytest

from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused, StoreRefused
from imagefeatures.settings import Settings
from imagefeatures.upkeep import kept, work
from imagefeatures.upkeep.aged import Aged
from imagefeatures.upkeep.report import Line, Report
from support.measured import FINGERPRINT, clouds, keep_run, publish, run_row

RUN = "20261001T000000-0a1b2c3d"
NOW = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)


def part(settings: Settings, *, done: bool = False) -> work._Work:
    return work._Work(settings, tables.open_catalog(settings), Report(done=done), NOW)


def test_models_of_what_was_published_since_and_last_of_each_dataset_are_used(settings: Settings) -> None:
    def started(seconds: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)

    with tables.open_catalog(settings) as catalog:
        for name, day, seconds, fingerprint, models in (
            ("photos", "a", 100, "old", None), ("photos", "b", 200, "since", None), ("photos", "c", 300, "last", None),
            ("birds", "a", 0.5, "newest", [("resnet50", "further")]), ("birds", "b", 0.25, "older", None),
        ):  # fmt: skip
            row = run_row(name, day, 1, started_at=started(seconds), fingerprint=fingerprint, models=models)
            keep_run(catalog, settings, row)
    assert part(settings)._used_fingerprints(200) == {"since", "last", "newest", "further"}
    assert part(settings)._used_fingerprints(1000) == {"last", "newest", "further"}


def test_things_of_datasets_with_a_table_or_a_file_are_known_and_others_are_named(settings: Settings) -> None:
    tables.open_table(tables.open_catalog(settings), settings, "photos")
    for name in ("birds.yaml", "nuts.yml", "notes.txt"):
        (settings.datasets / name).touch()
    found = [Aged(f"{settings.lake}/staging/{name}/x", 1, 1) for name in ("photos", "birds", "nuts", "notes", "herbs")]
    made = part(settings)
    assert made._known(found) == found[:3]
    assert made._report.unknown == {"notes", "herbs"}


def test_what_was_written_to_meanwhile_is_not_counted_as_removed(settings: Settings, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("old", "young")]
    for folder, seconds in zip(folders, (9, 11), strict=True):
        folder.mkdir()
        (folder / "run.json").write_bytes(b"abc")
        os.utime(folder / "run.json", (seconds, seconds))
    found = [Aged(f"file://{folder}/", 3, 9.0) for folder in folders]
    looked, removed = Line("runs"), Line("runs")
    part(settings)._go(found, looked, 10)
    assert (looked.count, looked.size, looked.oldest) == (2, 6, 9.0)
    part(settings, done=True)._go(found, removed, 10)
    assert (removed.count, removed.size) == (1, 3)
    assert [folder.exists() for folder in folders] == [False, True]


def test_days_are_counted_back_from_now_and_a_refusal_is_a_line(settings: Settings) -> None:
    made = part(settings)
    assert made._before(2) == NOW.timestamp() - 2 * 86_400
    with made._refused():
        raise StoreRefused("a link")
    assert made._report.refused == ["a link"]


def test_what_is_old_of_every_kind_goes_and_what_is_used_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    settings = Settings.from_env()
    publish(settings, "2026-11-01", clouds(0, 2))
    lake = Path(settings.lake.removeprefix("file://"))
    young = lake / f"staging/photos/2026-11-02/{RUN}/run.json"
    used = [lake / f"models/{fingerprint}/model.json" for fingerprint in (FINGERPRINT, "1f" * 16)]
    gone = [
        lake / f"quarantine/photos/2026-11-01/CORRUPT/{'ab' * 32}", lake / f"models/{'0f' * 16}/model.json",
        tmp_path / "cache/thumbnails/photos/ab/abcd.jpg",
    ]  # fmt: skip
    for path in (young, *used, *gone):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"fingerprint": "{"1f" * 16}"}}')
        os.utime(path, (1, 1))
    os.utime(young, (NOW.timestamp(),) * 2)
    report = work.upkeep(settings, dry_run=False, now=NOW)
    counts = {line.what: line.count for line in report.kinds}
    assert (counts["kept rejects"], counts["prepared models"]) == (1, 1)
    assert counts["thumbnails and audits of this machine"] == 1
    assert [path.exists() for path in (young, *used, *gone)] == [True] * 3 + [False] * 3


def test_without_a_moment_it_is_now_and_without_a_catalog_there_is_nothing(settings: Settings) -> None:
    assert work.upkeep(settings, dry_run=False).kinds == []
    assert kept.last(settings.lake) == []
    tables.open_table(tables.open_catalog(settings), settings, "photos")
    before = dt.datetime.now(dt.UTC)
    assert work.upkeep(settings, dry_run=False).done
    (report,) = kept.last(settings.lake)
    assert before <= report.at <= dt.datetime.now(dt.UTC)


def test_a_catalog_that_knows_no_table_of_the_lake_removes_nothing(settings: Settings, tmp_path: Path) -> None:
    publish(settings, "2026-11-01", clouds(0, 2))
    other = dataclasses.replace(settings, catalog=f"sqlite:///{tmp_path}/other.db")
    tables.open_catalog(other).close()
    with pytest.raises(CatalogRefused, match=r"has tables that sqlite database .* does not know"):
        work.upkeep(other, dry_run=False)
