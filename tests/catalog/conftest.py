"""A table that keeps ten snapshots, and a lake that is copied or moved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures.catalog import tables
from imagefeatures.cli import main
from imagefeatures.settings import Settings
from support.growing import KEPT, Publish, run_file
from support.photos import fill, jpeg
from support.publishing import DAY
from support.relocating import Moved, path_of, published


@pytest.fixture
def few(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that keep ten snapshots."""
    monkeypatch.setenv("IMAGEFEATURES_KEEP_SNAPSHOTS", str(KEPT))
    return Settings.from_env()


@pytest.fixture
def photos(few: Settings) -> Table:
    return tables.open_table(tables.open_catalog(few), few, "photos")


@pytest.fixture
def publish(photos: Table, few: Settings) -> Publish:
    """publish(run_id): a file of that run takes the partition's place; the clean-up is another matter."""

    def publish(run_id: str) -> None:
        tables.replace_files(photos, DAY, [run_file(few, run_id)], run_id)

    return publish


@pytest.fixture(scope="session")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two days."""
    files = {f"{day}/{label}.jpg": jpeg(at) for day in (DAY, "2026-11-03") for at, label in enumerate("ab")}
    return fill(tmp_path_factory.mktemp("photos"), files | {f"{DAY}/empty.jpg": b""})


@pytest.fixture(scope="session")
def original(two_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with both days, the first one published twice, so that features.photos has a past. No test changes it."""
    lake = tmp_path_factory.mktemp("original") / "lake"
    lake.mkdir()
    settings = Settings(f"file://{lake}", f"sqlite:///{lake}/catalog.db", None, lake / "cache")
    for day in (DAY, "2026-11-03", DAY):
        published(settings, two_days, day)
    return settings


@pytest.fixture
def moved(original: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    """moved("copy" or "move"): the settings of the lake in its new place, in the environment too.

    A lake that was moved is one whose old place is empty: it comes back after the test.
    """
    old, away = path_of(original.lake), path_of(original.lake).with_name("away")

    def go(how: str, lake: Path = old) -> Settings:
        new = tmp_path / f"{lake.name} 2"
        shutil.copytree(lake, new)
        if how == "move":
            lake.rename(lake.with_name("away"))
        monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{new}")
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{new}/catalog.db?timeout=60")
        return Settings.from_env()

    yield go
    if away.exists() and not old.exists():
        away.rename(old)


@pytest.fixture
def own(moved: Moved) -> Settings:
    """A lake like the original one that the test may change."""
    settings = moved("copy")
    assert main(["relocate-lake", "--apply"]) == 0
    return settings
