"""The rows of the catalog's database: what they name is committed by number, and may be missing."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import Settings


@pytest.fixture
def photos(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def version(table: Table) -> int:
    return int(Path(table.metadata_location).name.partition("-")[0])


def test_each_commit_writes_the_metadata_file_of_the_next_number(photos: Table) -> None:
    before = version(photos)
    for number in (1, 2):
        with photos.transaction() as change:
            change.set_properties({"mine": str(number)})
        assert version(photos) == before + number


def test_a_row_that_names_no_metadata_is_refused_as_a_table_that_is_there(photos: Table, settings: Settings) -> None:
    file = settings.catalog.removeprefix("sqlite:///").partition("?")[0]
    with sqlite3.connect(file) as database:
        database.execute("UPDATE iceberg_tables SET metadata_location = NULL")
    says = (
        r"^features\.photos: sqlite database .*/catalog\.db names no file of it; `.*repair` shows what is left of it$"
    )
    with pytest.raises(CatalogRefused, match=says):
        tables.open_catalog(settings).load_table("features.photos")


def test_a_table_of_a_lake_that_was_moved_is_refused_by_its_old_place(
    photos: Table, settings: Settings, tmp_path: Path
) -> None:
    """Not as one whose metadata is missing: what helps is to relocate the lake."""
    old = Path(settings.lake.removeprefix("file://"))
    new = old.rename(tmp_path / "moved")
    there = dataclasses.replace(settings, lake=f"file://{new}", catalog=settings.catalog.replace(str(old), str(new)))
    with pytest.raises(
        CatalogRefused, match=rf" lies in {photos.location()}, which is not in this lake, file://{new}:"
    ):
        tables.open_catalog(there).load_table("features.photos")
