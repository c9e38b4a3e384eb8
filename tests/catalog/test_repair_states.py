"""Which state of a damaged table is the newest sound one, and what is said of a file."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import repair, tables
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.catalog.repair import State, TableReport
from imagefeatures.errors import CatalogRefused, InputError
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import DAY
from support.relocating import path_of

Uncommitted = Callable[[str, str], str]


@pytest.fixture
def photos(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


@pytest.fixture
def history(photos: Table, settings: Settings) -> list[str]:
    """The metadata of the new table, and after each of three publications of one partition."""
    seen = [photos.metadata_location]
    for run_id in ("first", "second", "third"):
        tables.replace_files(photos, DAY, [run_file(settings, run_id)], run_id)
        seen.append(photos.metadata_location)
    assert [repair.version(uri) for uri in seen] == [0, 1, 2, 3]
    return seen


@pytest.fixture
def uncommitted(history: list[str]) -> Uncommitted:
    """uncommitted(version of this file, content of this file): a file that a commit has left which was never made.

    By its name it comes before the others of its version.
    """

    def left(of_version: str, content: str) -> str:
        place = path_of(of_version).with_name(f"{repair.version(of_version):05d}-0-never.metadata.json")
        shutil.copy(path_of(content), place)
        return f"file://{place}"

    return left


def empty(*uris: str) -> None:
    for uri in uris:
        path_of(uri).write_bytes(b"")


def report(settings: Settings) -> TableReport:
    (found,) = repair.examine(tables.open_catalog(settings))
    return found


def earlier(settings: Settings) -> str | None:
    found = report(settings)
    assert found.current.faults
    return found.earlier and found.earlier.uri


def files(settings: Settings) -> LakeFileIO:
    return LakeFileIO({LAKE: settings.lake})


def list_of(settings: Settings, uri: str) -> Path:
    """The manifest list of the current snapshot of a state."""
    metadata = repair._state(uri, files(settings)).metadata
    snapshot = metadata and metadata.current_snapshot()
    assert snapshot
    return path_of(snapshot.manifest_list)


def test_the_catalog_names_the_state_before_metadata_that_cannot_be_read(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    uncommitted(history[2], history[3])
    empty(history[3])
    assert earlier(settings) == history[2]


def test_the_metadata_names_the_states_before_it_where_the_catalog_names_none(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    uncommitted(history[2], history[2])
    list_of(settings, history[3]).unlink()
    state = repair._state(history[3], files(settings))
    assert state.faults
    found = repair._earlier(state, None, files(settings))
    assert found is not None and found.uri == history[2]


def test_a_state_before_that_is_damaged_too_names_those_before_it(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    uncommitted(history[1], history[1])
    list_of(settings, history[2]).unlink()
    empty(history[3])
    assert earlier(settings) == history[1]


def test_a_file_in_the_folder_counts_only_if_it_is_older_than_all_that_is_damaged(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    uncommitted(history[2], history[1])
    empty(history[2], history[3])
    assert earlier(settings) == history[1]


def test_a_file_in_the_folder_is_no_earlier_state_where_one_before_it_is_damaged(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    uncommitted(history[1], history[1])
    list_of(settings, history[2]).unlink()
    empty(history[0], history[1], history[3])
    assert earlier(settings) is None


def test_files_of_other_names_beside_the_metadata_stop_nothing(settings: Settings, history: list[str]) -> None:
    for name in ("v3.metadata.json", "00009-a.txt", "readme"):
        path_of(history[3]).with_name(name).write_bytes(b"")
    empty(history[2], history[3])
    assert earlier(settings) == history[1]
    assert repair.version(history[3].replace("00003-", "v")) == 0


def test_a_file_of_the_next_version_is_of_a_commit_that_may_never_have_been_made(
    settings: Settings, history: list[str]
) -> None:
    folder = path_of(history[3]).parent
    shutil.copy(path_of(history[3]), folder / "00004-a.metadata.json")
    assert report(settings).newer is None
    shutil.copy(path_of(history[3]), folder / "00005-a.metadata.json")
    assert report(settings).newer == f"file://{folder}/00005-a.metadata.json"


def test_a_table_without_rows_is_sound(settings: Settings, photos: Table) -> None:
    found = report(settings)
    assert (found.name, found.current) == ("features.photos", State(photos.metadata_location, (), (), photos.metadata))


def test_metadata_that_was_copied_and_not_written_anew_is_of_another_lake(
    settings: Settings, history: list[str], tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    copied = Path(shutil.copytree(path_of(settings.lake), tmp_path / "copy" / "lake"))
    for uri in (history[3], history[3].replace(settings.lake, f"file://{copied}")):
        state = repair._state(uri, files(dataclasses.replace(settings, lake=f"file://{copied}")))
        (fault,) = state.faults
        assert fault.startswith(f"it lies in another lake than this one, file://{copied}: ")


def test_each_damaged_partition_is_named_once(settings: Settings, photos: Table) -> None:
    for day in ("2026-11-03", DAY):
        both = [run_file(settings, run_id, day) for run_id in ("a", "b")]
        tables.replace_files(photos, day, both, "a")
        empty(*both)
    assert report(settings).current.partitions == (DAY, "2026-11-03")
    assert len(report(settings).current.faults) == 4


def test_what_is_wrong_with_a_file_is_said_with_its_size(settings: Settings, tmp_path: Path) -> None:
    there, gone, odd = f"file://{tmp_path}/a.avro", f"file://{tmp_path}/b.avro", "fjle:///a.avro"
    path_of(there).write_bytes(b"12345")
    io, error = files(settings), ValueError("x")
    assert repair.wrong_size(there, 5, io) is None
    assert repair.wrong_size(there, 6, io) == f"{there} has 5 bytes instead of 6"
    assert repair.wrong_size(gone, 5, io) == f"{gone} is missing"
    assert repair.fault(there, io, error) == f"{there} cannot be read (5 bytes, ValueError)"
    assert repair.fault(gone, io, error) == f"{gone} is missing"
    assert repair.fault(odd, io, error) == f"{odd} cannot be read (ValueError)"


def test_runs_that_would_be_lost_are_told_as_far_as_both_states_can_be_read(
    settings: Settings, history: list[str]
) -> None:
    first, third = (repair._state(history[at], files(settings)) for at in (1, 3))
    unread = State("file:///x", ("x",))
    assert TableReport("features.photos", third, first).lost == ["second", "third"]
    for states in ((third, None), (unread, first), (third, unread)):
        assert TableReport("features.photos", *states).lost == []


def put(settings: Settings, column: str, value: str | None) -> None:
    with contextlib.closing(sqlite3.connect(path_of(settings.lake) / "catalog.db")) as database, database:
        database.execute(f"UPDATE iceberg_tables SET {column} = ?", (value,))


@pytest.mark.parametrize("location", [None, "", "nonsense", "http://127.0.0.1:1/a.metadata.json"])
def test_a_row_that_names_no_file_is_told_so_and_taken_back_to_the_state_before(
    settings: Settings, history: list[str], location: str | None
) -> None:
    put(settings, "metadata_location", location)
    with pytest.raises(InputError, match=r"repair` shows what is left of it$|only file:// and s3:// are opened$"):
        tables.open_table(tables.open_catalog(settings), settings, "photos")
    found = report(settings)
    assert (found.current.uri, found.current.faults) == (location or "", ("the catalog names no file of it",))
    assert found.earlier is not None
    assert found.earlier.uri == history[-2]
    repair.go_back(tables.open_catalog(settings), found)
    assert report(settings).current.faults == ()
    put(settings, "metadata_location", location)
    put(settings, "previous_metadata_location", None)
    assert earlier(settings) is None


@pytest.mark.parametrize("begin", ["/", "file:/"])
def test_a_file_is_named_in_the_ways_of_other_programs_too(settings: Settings, history: list[str], begin: str) -> None:
    put(settings, "metadata_location", begin + history[-1].removeprefix("file:///"))
    assert report(settings).current.faults == ()


def test_there_is_no_way_back_where_no_state_can_be_read(settings: Settings, history: list[str]) -> None:
    with pytest.raises(CatalogRefused, match=r"^features\.photos: no earlier state of it can be read$"):
        repair.go_back(tables.open_catalog(settings), TableReport("features.photos", State(history[3], ("x",)), None))


def test_a_table_is_taken_back_only_where_the_state_before_is_of_a_later_version(
    settings: Settings, history: list[str], uncommitted: Uncommitted
) -> None:
    catalog = tables.open_catalog(settings)
    tables.open_table(catalog, settings, names.RUNS)
    with sqlite3.connect(path_of(f"{settings.lake}/catalog.db")) as connection:
        connection.execute("update iceberg_tables set previous_metadata_location = null where table_name = 'runs'")
    states = [State(history[3], ()), State(uncommitted(history[3], history[3]), ()), State(history[2], ())]
    repair.go_back(catalog, TableReport("features.photos", states[0], states[1]))
    assert repair.gone_back(catalog) == {}
    repair.go_back(catalog, TableReport("features.photos", states[1], states[2]))
    assert repair.gone_back(catalog) == {("features", "photos"): states[1].uri}
