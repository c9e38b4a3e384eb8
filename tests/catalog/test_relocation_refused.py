"""A lake in a new place is refused with both names, and one that cannot be relocated stays as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read
from imagefeatures.catalog import tables
from imagefeatures.cli import main
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import Settings, program
from support.canary import RestAnswers, rest_catalog
from support.publishing import delete_rows
from support.relocating import Moved, catalog_rows, path_of, published


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_lake_in_a_new_place_is_refused_with_both_names_and_the_way_out(
    original: Settings, two_days: Path, moved: Moved, how: str
) -> None:
    new = moved(how)
    for use in (lambda: published(new, two_days), lambda: read.runs(new), lambda: read.table(new, "photos")):
        with pytest.raises(CatalogRefused) as refused:
            use()
        line = str(refused.value)
        assert f"lies in {original.lake}/warehouse/features/" in line
        assert f"which is not in this lake, {new.lake}: " in line
        assert line.endswith(f"is a copy, or was moved here, `{program()} relocate-lake` makes its tables its own")
        assert "\n" not in line
    assert not list(path_of(new.lake).rglob("run.json"))


def test_a_copy_that_lacks_a_data_file_is_not_relocated(
    original: Settings, moved: Moved, capsys: pytest.CaptureFixture[str]
) -> None:
    new = moved("copy")
    lost = path_of(read.files(original, "photos")[0].replace(original.lake, new.lake))
    lost.unlink()
    before = catalog_rows(path_of(new.lake) / "catalog.db")
    assert main(["relocate-lake", "--apply"]) == 1
    said = capsys.readouterr().out
    assert f"  file://{lost} is missing" in said.splitlines()
    assert "Nothing was changed. Copy what is missing" in said
    assert catalog_rows(path_of(new.lake) / "catalog.db") == before


def test_a_table_with_deleted_rows_is_refused_in_words(
    own: Settings, moved: Moved, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tables.open_catalog(own).load_table("features.photos")
    delete_rows(table, read.files(own, "photos")[0], [0])
    moved("copy", path_of(own.lake))
    assert main(["relocate-lake", "--apply"]) == 1
    assert "another program has deleted single rows of it" in capsys.readouterr().out


def test_a_commit_meanwhile_changes_no_table(
    original: Settings, moved: Moved, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from imagefeatures.catalog import relocation

    new = moved("copy")
    written = relocation._written_anew
    database = path_of(new.lake) / "catalog.db"

    def slowly(table: relocation.ForeignTable, io: Any) -> str:
        if table.name == "runs":
            with sqlite3.connect(database) as connection:
                connection.execute("update iceberg_tables set metadata_location = 'x' where table_name = 'runs'")
        return written(table, io)

    monkeypatch.setattr(relocation, "_written_anew", slowly)
    assert main(["relocate-lake", "--apply"]) == 1
    assert "features.runs: a run has committed meanwhile" in capsys.readouterr().err
    assert all(original.lake in row[3] for row in catalog_rows(database) if row[2] != "runs")


def test_the_catalog_of_the_old_place_keeps_its_tables(
    original: Settings, moved: Moved, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moved("copy")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", original.catalog)
    assert main(["relocate-lake", "--apply"]) == 65
    assert "is the catalog of the old place" in capsys.readouterr().err
    assert read.table(original, "photos").num_rows == 4


def test_another_old_place_than_the_tables_name_is_refused(
    original: Settings, moved: Moved, capsys: pytest.CaptureFixture[str]
) -> None:
    moved("copy")
    assert main(["relocate-lake", "file:///other", "--apply"]) == 65
    assert f"OLD: the tables name {original.lake}, and not file:///other" in capsys.readouterr().err


def test_a_rest_catalog_is_refused_plainly(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with rest_catalog(RestAnswers()) as address:
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", address)
        assert main(["relocate-lake", "--apply"]) == 65
    assert "use the server's own means to move them" in capsys.readouterr().err


def test_a_copied_lake_is_told_by_repair_too(
    original: Settings, moved: Moved, capsys: pytest.CaptureFixture[str]
) -> None:
    moved("copy")
    assert main(["repair", "--apply"]) == 1
    said = capsys.readouterr().out
    assert said.count("  it lies in another lake than this one, ") == 3
    assert said.count("  no earlier state can be read") == 3  # never the original's
