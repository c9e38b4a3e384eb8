"""Tables of which the catalog knows none: a run is refused, unless they may be its own or another run's of just now."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from imagefeatures import layout, names, storage
from imagefeatures.catalog import lost, tables
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import Settings
from support.growing import runs_row
from support.publishing import DAY


def publish(settings: Settings, run_id: str) -> Path:
    """Put a row into features.runs. Returns the file of the table's metadata."""
    table = tables.open_table(tables.open_catalog(settings), settings, names.RUNS)
    tables.replace_rows(table, DAY, "photos", runs_row("photos", run_id), run_id)
    return Path(table.metadata_location.removeprefix("file://"))


def another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A new catalog of the same lake."""
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/another.db")
    return tables.open_catalog(Settings.from_env())


def test_a_lake_of_this_catalog_is_not_refused(settings: Settings) -> None:
    lost.refuse(tables.open_catalog(settings))
    publish(settings, "one")
    lost.refuse(tables.open_catalog(settings))


def test_a_lake_with_tables_of_another_catalog_is_refused_by_the_newest_of_their_metadata(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(settings, "one")
    assert file.name.startswith("00001-")
    with pytest.raises(CatalogRefused) as refused:
        lost.refuse(another(tmp_path, monkeypatch))
    said = f"{settings.lake} has tables that sqlite database {tmp_path}/another.db does not know, such as file://{file}"
    assert str(refused.value).startswith(f"{said}: set IMAGEFEATURES_CATALOG to the lake's catalog; ")


def test_the_first_version_of_a_table_may_be_of_a_run_that_is_making_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.open_table(tables.open_catalog(settings), settings, names.RUNS)
    folder = f"{layout.table_folder(settings.lake, names.RUNS)}/metadata"
    assert [name[:6] for name in storage.names(folder)] == ["00000-"]
    lost.refuse(another(tmp_path, monkeypatch))


def test_a_table_that_another_run_makes_while_the_lake_is_looked_at_is_no_lost_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, names_of = tables.open_catalog(settings), storage.names

    def meanwhile(folder: str) -> list[str]:
        monkeypatch.setattr(storage, "names", names_of)
        publish(settings, "one")
        return names_of(folder)

    monkeypatch.setattr(storage, "names", meanwhile)
    lost.refuse(catalog)
    assert storage.names is names_of, "the run was made meanwhile"


def test_each_table_that_the_catalog_does_not_list_is_found_with_its_newest_state(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, "one")
    newest = publish(settings, "two")
    storage.write(f"{settings.lake}/warehouse/features/mine/data/metadata", b"no metadata")
    storage.write(f"{settings.lake}/warehouse/learning/cut/metadata/00001-a.metadata.json", b"{")
    found = dict(lost.unlisted(settings.lake, []))
    assert {name: state and state.uri for name, state in found.items()} == {
        "features.runs": f"file://{newest}",
        "learning.cut": None,
    }
    assert list(dict(lost.unlisted(settings.lake, ["features.runs"]))) == ["learning.cut"]
    catalog, state = another(tmp_path, monkeypatch), found["features.runs"]
    assert state is not None
    lost.list_again(catalog, "features.runs", state)
    assert catalog.load_table((names.NAMESPACE, names.RUNS)).metadata_location == f"file://{newest}"
