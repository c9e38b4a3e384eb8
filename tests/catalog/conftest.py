"""A table that keeps ten snapshots."""

from __future__ import annotations

import pytest
from pyiceberg.table import Table

from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.growing import KEPT, Publish, run_file
from support.publishing import DAY


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
