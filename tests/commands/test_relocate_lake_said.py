"""`imagefeatures relocate-lake`: each line about the tables, and the places that it refuses."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures.catalog import connect
from imagefeatures.catalog.relocation import ForeignTable, Move
from imagefeatures.catalog.tables import open_catalog, open_table
from imagefeatures.cli import main
from imagefeatures.commands.relocate_lake import SHOWN, _check_places, _lines
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings

OLD = "s3://old/lake"


def foreign(snapshots: int = 3, faults: int = 0) -> ForeignTable:
    """A table that had three snapshots. snapshots: how many of them can be taken along."""
    metadata: Any = SimpleNamespace(snapshots=[None] * 3)
    kept: Any = (None,) * snapshots
    said = tuple(f"fault {number}" for number in range(faults))
    return ForeignTable("photos", f"{OLD}/1.json", Move(OLD, "s3://new"), metadata, kept, 1234, said)


def test_a_table_is_told_with_what_is_taken_along() -> None:
    assert list(_lines([foreign()], "catalog", "s3://new")) == [
        "catalog, for the lake s3://new:",
        f"features.photos lies in {OLD}: 3 snapshots to take along, 1,234 data files in the current one",
    ]
    assert list(_lines([foreign(1)], "catalog", "s3://new"))[2:] == [
        "  2 older snapshots stay behind: files of theirs are not here"
    ]


@pytest.mark.parametrize(("faults", "more"), [(SHOWN, []), (SHOWN + 1, ["  … and 1 more"])])
def test_only_so_many_faults_are_listed(faults: int, more: list[str]) -> None:
    lines = list(_lines([foreign(faults=faults)], "catalog", "s3://new"))
    assert lines[2:] == [f"  fault {number}" for number in range(SHOWN)] + more


def test_the_old_place_is_the_one_that_is_named(settings: Settings) -> None:
    _check_places([OLD], None, settings)
    _check_places([OLD], OLD, settings)
    _check_places([OLD], f"{OLD}/", settings)
    with pytest.raises(ParamsError, match=r"^OLD: the tables name s3://another, and not s3://old/lake$"):
        _check_places([OLD, "s3://another"], OLD, settings)


def test_the_catalog_is_not_the_one_in_the_old_place(settings: Settings) -> None:
    for catalog in ("postgresql://u:p@h//old/db", "https://h/old", settings.catalog):
        _check_places([OLD, "file:///old"], None, dataclasses.replace(settings, catalog=catalog))
    inside = dataclasses.replace(settings, catalog="sqlite:////old/catalog.db")
    _check_places([OLD], None, inside)
    with pytest.raises(ParamsError, match=r"^IMAGEFEATURES_CATALOG: /old/catalog\.db is the catalog of the old place"):
        _check_places([OLD, "file:///old"], None, inside)


def test_where_there_is_nothing_to_do_that_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    described = connect.describe(settings.catalog)
    assert main(["relocate-lake"]) == 0
    assert capsys.readouterr().out == f"{described}: nothing is published yet\n"
    with open_catalog(settings) as catalog:
        open_table(catalog, settings, "photos")
    assert main(["relocate-lake", "--apply"]) == 0
    assert capsys.readouterr().out == f"{described}: every table lies in {settings.lake}, and there is nothing to do\n"
