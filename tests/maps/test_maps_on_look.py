"""Maps that are made when somebody looks: whether they can be, by which command, and when they are read anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.background import Background, Command, Waits
from imagefeatures.errors import StoreRefused
from imagefeatures.forget import deny
from imagefeatures.maps import on_look
from imagefeatures.maps.choice import Choice
from imagefeatures.maps.on_look import MapsOnLook
from imagefeatures.settings import Settings
from support.map_files import CHOSEN, files, keep
from support.publishing import DAY


@pytest.fixture
def maps(settings: Settings, tmp_path: Path) -> MapsOnLook:
    return MapsOnLook(dataclasses.replace(settings, cache=tmp_path / "cache"))


def refuse(uri: str, *_: object) -> None:
    raise StoreRefused(f"{uri}: 403 AccessDenied")


def test_a_lake_that_may_be_written_is_tried_until_it_was_written_once(
    maps: MapsOnLook, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as read_only:
        read_only.setattr(storage, "write", refuse)
        assert maps.may_write() is False
        assert f"no map is made here: {settings.lake}/maps/.writable: 403 AccessDenied" in caplog.text
    written: list[str] = []
    real = storage.write
    monkeypatch.setattr(storage, "write", lambda uri, data: written.append(uri) or real(uri, data))
    assert [maps.may_write(), maps.may_write()] == [True, True]
    assert written == [f"{settings.lake}/maps/.writable"]
    assert files(settings) == set()


def test_the_command_that_makes_a_map_names_its_partitions(
    maps: MapsOnLook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Path, int, object, list[str]]] = []

    def run(self: Background, key: object, command: Command) -> Waits:
        with command as arguments:
            begun.append((self._lock_file, self._bounds.memory, key, list(arguments)))
        return Waits("another one is under way")

    monkeypatch.setattr(Background, "run", run)
    both = Choice("photos", (*CHOSEN.runs, ("2026-12-01", "other")))
    assert maps.begin(both) == Waits("another one is under way")
    ((lock, memory, key, arguments),) = begun
    assert (lock, key) == (tmp_path / "cache" / "background-map.lock", both)
    assert arguments == ["map", "photos", f"--partition={DAY}", "--partition=2026-12-01"]
    assert memory == on_look.MEMORY_BYTES > 1 << 30


def test_a_kept_map_is_read_again_only_after_something_was_forgotten(maps: MapsOnLook, settings: Settings) -> None:
    assert maps.kept("photos", CHOSEN.digest) is None
    keep(settings)
    found = maps.kept("photos", CHOSEN.digest)
    assert found is not None
    assert found.points.num_rows == 2
    assert maps.kept("photos", CHOSEN.digest) is found
    deny.add(settings.lake, "20261103T000000-00000000", ["f" * 64], [])
    again = maps.kept("photos", CHOSEN.digest)
    assert again is not None
    assert again is not found
    deny.add(settings.lake, "20261103T000000-00000001", ["a" * 64], [])
    assert maps.kept("photos", CHOSEN.digest) is None
