"""What plan asks of a table for reuse: the same files as a scan finds, and no manifest read twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table

from imagefeatures import layout, storage
from imagefeatures.catalog import known_files, tables
from imagefeatures.settings import Settings
from support.growing import run_file

COUNT = 30


@pytest.fixture
def table(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests whose entries were read since the list was cleared, by the search alone."""
    found: list[str] = []
    original = known_files._read

    def counted(*given: object) -> object:
        (manifest,) = (one for one in given if isinstance(one, ManifestFile))
        found.append(manifest.manifest_path)
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(known_files, "_read", counted)
    return found


def publish(settings: Settings, table: Table, number: int, run: str = "run") -> str:
    file = run_file(settings, f"{run}-{number}", f"day-{number:02}")
    tables.replace_files(table, f"day-{number:02}", [file], f"{run}-{number}")
    return file


def searched(settings: Settings, fingerprint: str = "f", number: int = 0) -> list[tuple[str, int]]:
    return known_files.files_with(tables.open_catalog(settings), "photos", fingerprint, number)


def kept(settings: Settings) -> str:
    return layout.known_files_of(settings.lake, "photos")


def test_a_plan_reads_what_is_new_and_finds_what_a_scan_finds(
    settings: Settings, table: Table, read: list[str]
) -> None:
    most = 0
    for number in range(COUNT):
        publish(settings, table, number)
        read.clear()
        assert searched(settings) == known_files._by_a_scan(table, "f", 0)
        most = max(most, len(read))
    assert most <= 2, "the manifest of the publication, and the one that others were merged into"
    read.clear()
    assert len(searched(settings)) == COUNT
    assert searched(settings, "e") == searched(settings, "g") == searched(settings, "f", 1) == []
    assert read == []
    publish(settings, table, 3, "again")
    read.clear()
    found = searched(settings)
    assert found == known_files._by_a_scan(table, "f", 0)
    assert [uri for uri, _ in found if "day-03" in uri] == [uri for uri, _ in found if "again-3" in uri]
    assert len(read) <= 2, "its own, and the one without what it replaced"


def test_what_is_kept_is_of_the_current_manifests_alone(settings: Settings, table: Table, read: list[str]) -> None:
    for number in range(12):
        publish(settings, table, number)
        searched(settings)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    known = known_files._kept(kept(settings))
    assert set(known) == {f"{manifest.manifest_path}" for manifest in snapshot.manifests(table.io)}
    assert sum(len(one.files) for each in known.values() for one in each) == 12


@pytest.mark.parametrize("damage", ["a bit", "its end", "gone", "another list"])
def test_what_is_kept_is_never_believed_without_its_digest(
    settings: Settings, table: Table, read: list[str], damage: str
) -> None:
    files = [publish(settings, table, number) for number in range(3)]
    expected = searched(settings)
    assert [uri for uri, _ in expected] == sorted(files)
    path = Path(kept(settings).removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        damaged = {"a bit": bytes(data), "its end": path.read_bytes()[:-9], "another list": b"[[]]"}[damage]
        storage.write(kept(settings), damaged)
    read.clear()
    assert searched(settings) == expected
    assert len(read) == 3, "all are read again"
    read.clear()
    assert searched(settings) == expected
    assert read == []


def test_bounds_say_which_files_may_hold_a_fingerprint_and_a_copy() -> None:
    def file(*bounds: object) -> known_files._Alike:
        return known_files._Alike("", [("u", 1)], *bounds)  # type: ignore[arg-type]

    mixed = file(("b", "d"), (1, 3), False, True)
    assert [mixed.may_hold("c", number) for number in range(5)] == [True, True, True, True, False]
    assert not mixed.may_hold("a", 1)
    assert not mixed.may_hold("e", 1)
    assert mixed.may_hold("b", 1) and mixed.may_hold("d", 1)
    of_copies = file(("b", "b"), (1, 2), False, False)
    assert [of_copies.may_hold("b", number) for number in range(3)] == [False, True, True]
    older = file(None, None, True, True)
    assert older.may_hold("any", 0)
    assert not older.may_hold("any", 1)
    assert file(None, None, False, False).may_hold("any", 7), "a writer that kept no bounds"
