"""Broken lakes: what is wrong with them is found, and the newest state that can be read is gone back to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.table import Table

from imagefeatures import layout, names, read, storage
from imagefeatures.catalog import learning, repair, tables
from imagefeatures.catalog.repair import TableReport
from imagefeatures.cli import main
from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogError, CatalogRefused
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.canary import RestAnswers, rest_catalog
from support.photos import fill, jpeg
from support.publishing import DAY, features_file, publish_older_run
from support.reading import photos_table

RUNS = ("first", "second", "third")


@pytest.fixture
def history(settings: Settings, tmp_path: Path) -> list[str]:
    """features.photos after three publications of one partition: the URI of its metadata after each."""
    seen = []
    for run_id in RUNS:
        written = Path(features_file(tmp_path, run_id).removeprefix("file://"))
        file = f"{layout.table_folder(settings.lake, 'photos')}/data/{written.name}"
        storage.write(file, written.read_bytes())
        table = photos_table(settings)
        tables.replace_files(table, DAY, [file], run_id)
        seen.append(table.metadata_location)
    return seen


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def table_of(settings: Settings, name: str = "photos") -> Table:
    return tables.open_catalog(settings).load_table(f"features.{name}")


def report(settings: Settings) -> TableReport:
    (found,) = repair.examine(tables.open_catalog(settings))
    return found


def manifest_list(settings: Settings) -> Path:
    snapshot = table_of(settings).current_snapshot()
    assert snapshot is not None
    return path_of(snapshot.manifest_list)


def manifest(settings: Settings) -> Path:
    table = table_of(settings)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return path_of(snapshot.manifests(table.io)[0].manifest_path)


def data_file(settings: Settings) -> Path:
    return path_of(read.files(settings, "photos")[0])


def metadata(settings: Settings) -> Path:
    return path_of(table_of(settings).metadata_location)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def runs_in(settings: Settings) -> set[str]:
    return set(read.table(settings, "photos")["run_id"].to_pylist())


def test_a_sound_lake_is_sound(settings: Settings, history: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert report(settings) == TableReport("features.photos", report(settings).current, None)
    assert report(settings).current.faults == ()
    assert main(["repair", "--apply"]) == 0
    assert capsys.readouterr().out == f"features.photos: sound, {history[-1]}\n"
    assert table_of(settings).metadata_location == history[-1]


@pytest.mark.parametrize("damage", [emptied, halved, Path.unlink])
@pytest.mark.parametrize("file_of", [metadata, manifest_list, manifest, data_file])
def test_a_damaged_file_is_named_and_the_state_before_it_is_gone_back_to(
    settings: Settings,
    history: list[str],
    capsys: pytest.CaptureFixture[str],
    file_of: Callable[[Settings], Path],
    damage: Callable[[Path], None],
) -> None:
    path = file_of(settings)
    damage(path)
    assert main(["repair"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"features.photos: damaged, {history[2]}"
    assert any(path.name in line for line in said[1:])
    assert f"  the newest earlier state that can be read: {history[1]}" in said
    assert "repair --apply" in said[-1]
    assert ("  partitions to run again, which mends them: 2026-11-02" in said) == (file_of is data_file)
    assert ("  what runs published after it would be lost: third" in said) == (file_of is not metadata)
    assert main(["repair", "--apply", "features.photos"]) == 0
    assert f"gone back to {history[1]}" in capsys.readouterr().out
    assert runs_in(settings) == {"second"}
    assert main(["repair"]) == 0


def test_two_damaged_states_are_passed_over(settings: Settings, history: list[str]) -> None:
    for uri in history[1:]:
        emptied(path_of(uri))
    found = report(settings)
    assert found.earlier is not None
    assert found.earlier.uri == history[0]
    repair.go_back(tables.open_catalog(settings), found)
    assert runs_in(settings) == {"first"}


def test_a_file_of_a_commit_that_was_never_made_is_no_earlier_state(settings: Settings, history: list[str]) -> None:
    lost, before = path_of(history[2]), path_of(history[1])
    number = int(before.name.split("-")[0])
    before.with_name(f"{number:05d}-never-committed.metadata.json").write_bytes(lost.read_bytes())
    lost.with_name(f"{number + 1:05d}-never-committed.metadata.json").write_bytes(lost.read_bytes())
    emptied(lost)
    assert report(settings).earlier == repair._state(history[1], table_of_io(settings))


def table_of_io(settings: Settings) -> repair.LakeFileIO:
    return repair.LakeFileIO(tables.open_catalog(settings).properties)


def test_where_no_state_is_left_that_is_said(
    settings: Settings, history: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for file in path_of(history[0]).parent.glob("*.metadata.json"):
        emptied(file)
    assert main(["repair", "--apply"]) == 1
    assert "  no earlier state can be read" in capsys.readouterr().out.splitlines()


def test_a_run_that_commits_meanwhile_wins(settings: Settings, history: list[str], tmp_path: Path) -> None:
    path = data_file(settings)
    emptied(path)
    found = report(settings)
    tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "fourth")], "fourth")
    with pytest.raises(CatalogError, match="a run has committed meanwhile"):
        repair.go_back(tables.open_catalog(settings), found)
    assert runs_in(settings) == {"fourth"}


def test_a_catalog_that_is_older_than_the_lake_is_named(
    settings: Settings, history: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(settings)
    older = repair._state(history[0], table_of_io(settings))
    repair.go_back(tables.open_catalog(settings), TableReport("features.photos", found.current, older))
    assert report(settings).newer == history[2]
    assert main(["repair"]) == 0
    assert f"a later commit left {history[2]}" in capsys.readouterr().out


@pytest.mark.parametrize("lose", [Path.unlink, emptied])
def test_a_lost_catalog_is_refused_by_plan_and_made_again(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], lose: Callable[[Path], None]
) -> None:
    publish_older_run(settings)
    before = table_of(settings, "runs").metadata_location
    path_of(before).with_name("00000-cut.metadata.json").write_bytes(b"")
    lose(catalog := path_of(settings.lake) / "catalog.db")
    source = fill(tmp_path / "photos", {"1.jpg": jpeg(1)})
    dataset = Dataset(name="new", source=f"file://{source}/")
    with pytest.raises(CatalogRefused) as refused:
        plan_run(dataset, RunParams(), DAY, settings)
    assert f"{settings.lake} has tables that sqlite database {catalog} does not know, such as " in str(refused.value)
    assert "\n" not in str(refused.value)
    lose(catalog)
    assert main(["repair"]) == 1
    assert capsys.readouterr().out.startswith(f"features.runs: not in the catalog, {before}\nNothing was changed. ")
    assert main(["repair", "--apply"]) == 0
    assert table_of(settings, "runs").metadata_location == before
    assert len(read.runs(settings)) == 1
    assert plan_run(dataset, RunParams(), DAY, settings)


def test_a_table_that_was_dropped_is_only_listed_again_by_its_name(
    settings: Settings, history: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish_older_run(settings)
    tables.open_catalog(settings).drop_table("features.photos")
    assert main(["repair", "--apply"]) == 0
    assert f"features.photos: not in the catalog, {history[2]}" in capsys.readouterr().out.splitlines()
    assert not tables.open_catalog(settings).table_exists("features.photos")
    assert main(["repair", "--apply", "photos"]) == 0
    assert runs_in(settings) == {"third"}


def test_a_manifest_that_names_another_scheme_is_a_fault_and_no_error(settings: Settings) -> None:
    fault = repair.wrong_size("fjle:///data/x.parquet", 7, table_of_io(settings))
    assert fault == "fjle:///data/x.parquet cannot be read (StoreRefused)"


def test_an_unknown_table_is_refused(settings: Settings, history: list[str]) -> None:
    assert main(["repair", "nothing"]) == 65


def test_a_lake_without_a_catalog_gets_none(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair"]) == 0
    assert capsys.readouterr().out.endswith("nothing is published yet\n")
    assert list(path_of(settings.lake).iterdir()) == []


def test_a_rest_catalog_is_examined_and_not_changed(
    settings: Settings, history: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    content = json.loads(path_of(history[2]).read_text())
    emptied(data_file(settings))
    listed = {"identifiers": [{"namespace": ["features"], "name": "photos"}]}
    answers = RestAnswers(table={"metadata-location": history[2], "metadata": content}, listed=listed)
    with rest_catalog(answers) as address:
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", address)
        found = report(Settings.from_env())
        assert (found.name, found.current.uri, len(found.current.faults)) == ("features.photos", history[2], 1)
        assert repair.gone_back(tables.open_catalog(Settings.from_env())) == {}
        with pytest.raises(CatalogRefused, match="the server's own means"):
            repair.go_back(tables.open_catalog(Settings.from_env()), found)


def test_tables_of_classifiers_are_gone_back_to_and_listed_again_too(
    settings: Settings, history: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    schema = pa.schema({"dataset": pa.string(), "model_id": pa.string()})
    with tables.open_catalog(settings) as catalog:
        table = learning.open_table(catalog, settings, names.EVALUATIONS, schema)
        for model_id in ("older", "newer"):
            row = pa.Table.from_pylist([{"dataset": "photos", "model_id": model_id}], schema)
            learning.replace_row(table, row, "photos", model_id)

    def evaluations() -> set[str]:
        return set(learning.read(settings, names.EVALUATIONS, schema, {})["model_id"].to_pylist())

    snapshot = table.current_snapshot()
    assert snapshot is not None
    path_of(snapshot.manifest_list).unlink()
    assert main(["repair", "--apply", "learning.evaluations"]) == 0
    assert capsys.readouterr().out.startswith(f"learning.evaluations: damaged, {table.metadata_location}\n")
    assert evaluations() == {"older"}

    catalog_file = path_of(f"{settings.lake}/catalog.db")
    catalog_file.unlink()
    assert main(["repair", "--apply"]) == 0
    said = capsys.readouterr().out
    assert "features.photos: not in the catalog, " in said
    assert "learning.evaluations: not in the catalog, " in said
    assert evaluations() == {"older"}  # the newest state cannot be read
    assert runs_in(settings) == {"third"}
