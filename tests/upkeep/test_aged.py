"""What of a lake is old: found by its name and by its youngest file, and removed unless it was written to meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreRefused
from imagefeatures.maps import stored as maps
from imagefeatures.settings import Settings
from imagefeatures.upkeep import aged
from imagefeatures.upkeep.aged import Aged

RUN, OTHER = "20261001T000000-0a1b2c3d", "20261001T000001-0a1b2c3d"
Write = Callable[..., Path]


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(path in the lake, seconds since 1970, bytes)."""

    def write(name: str, modified: float, data: bytes = b"abc") -> Path:
        path = tmp_path / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (modified, modified))
        return path

    return write


@pytest.fixture
def without_times(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """without_times(ending): the store does not say when objects with such names were written."""

    def forget(ending: str) -> None:
        real = storage.list_objects
        monkeypatch.setattr(
            storage,
            "list_objects",
            lambda uri: [
                dataclasses.replace(one, modified=None) if one.uri.endswith(ending) else one for one in real(uri)
            ],
        )

    return forget


def test_a_thing_is_older_than_a_moment_that_came_after_its_last_write() -> None:
    assert Aged("a", 1, 9.9).is_older(10)
    assert not Aged("a", 1, 10).is_older(10)
    assert not Aged("a", 1, None).is_older(10)


def test_a_run_is_as_old_as_its_youngest_file(lake: str, write: Write) -> None:
    write(f"staging/photos/day/{RUN}/a.json", 20)
    write(f"staging/photos/day/{RUN}/z/b.json", 0.5)
    folder = f"{lake}/staging/photos/day/{RUN}/"
    assert aged.unfinished_runs(lake, 20) == []
    assert aged.unfinished_runs(lake, 20.5) == [Aged(folder, 6, 20)]
    write(f"staging/photos/day/{RUN}/a.json", 0.25)
    assert aged.unfinished_runs(lake, 20.5) == [Aged(folder, 6, 0.5)]


def test_what_is_no_run_or_is_being_published_is_no_unfinished_run(lake: str, write: Write) -> None:
    for name in (f"photos/{RUN}/run.json", f"photos/day/{RUN}x/run.json", f"Photos/day/{RUN}/run.json", "notes.txt"):
        write(f"staging/{name}", 1)
    write(f"staging/photos/day/{OTHER}/run.json", 1)
    write(f"publishing/{OTHER}/publication.json", 1)
    write(f"staging/photos/day/{RUN}/run.json", 1)
    assert [run.uri for run in aged.unfinished_runs(lake, 2)] == [f"{lake}/staging/photos/day/{RUN}/"]


def test_a_run_of_which_a_time_is_not_known_is_never_old(
    lake: str, write: Write, without_times: Callable[[str], None]
) -> None:
    for run in (RUN, OTHER):
        write(f"staging/photos/day/{run}/a.json", 1)
        write(f"staging/photos/day/{run}/b.json", 1)
    without_times(f"{RUN}/a.json")
    assert [run.uri for run in aged.unfinished_runs(lake, 2)] == [f"{lake}/staging/photos/day/{OTHER}/"]


def test_kept_rejects_are_told_by_their_names_and_ages(lake: str, write: Write) -> None:
    names = (f"photos/day/CORRUPT/{'ab' * 32}", f"photos/day/CORRUPT/{'cd' * 32}")
    for name, modified in zip(names, (9, 10), strict=True):
        write(f"quarantine/{name}", modified)
    for name in (f"photos/CORRUPT/{'ab' * 32}", "photos/day/CORRUPT/readme", f"photos/day/corrupt/{'ab' * 32}"):
        write(f"quarantine/{name}", 1)
    assert aged.kept_rejects(lake, 10) == [Aged(f"{lake}/quarantine/{names[0]}", 3, 9)]


def test_models_that_are_old_and_not_used_are_found(lake: str, write: Write) -> None:
    for name, modified in (("0a" * 16, 9), ("0b" * 16, 9), ("0c" * 16, 10), ("described", 1)):
        write(f"models/{name}/model.json", modified)
    assert aged.models(lake, 10, {"0b" * 16}) == [Aged(f"{lake}/models/{'0a' * 16}/", 3, 9)]


def test_the_models_of_unfinished_runs_are_those_of_all_their_outputs(lake: str, write: Write) -> None:
    plans = [
        {"fingerprint": "f1", "others": [{"fingerprint": "f2"}, {"fingerprint": "f3"}]}, {"fingerprint": "f4"},
        {"others": []}, [], {"fingerprint": "f5", "others": [7]}, {"fingerprint": "f6", "others": 7},
    ]  # fmt: skip
    for number, plan in enumerate(plans):
        write(f"staging/photos/day/{number}/run.json", 1, json.dumps(plan).encode())
    write("staging/photos/day/cut/run.json", 1, b"{")
    write("staging/photos/day/other/redrive.json", 1, b'{"fingerprint": "f9"}')
    assert aged.fingerprints_of_unfinished_runs(lake) == {"f1", "f2", "f3", "f4"}


def test_a_folder_is_removed_with_its_run_json_first_and_a_file_at_once(
    lake: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    reject = write("quarantine/photos/day/CORRUPT/ab", 99)
    assert aged.remove(Aged(f"file://{reject}", 3, 1), 10) is True
    assert not reject.exists()
    run = write(f"staging/photos/day/{RUN}/run.json", 9)
    other = write(f"staging/photos/day/{RUN}/z.json", 9)
    folder = Aged(f"file://{run.parent}/", 6, 9)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete_folder", lambda _: None)  # as if it were interrupted
        assert aged.remove(folder, 10) is True
    assert (run.exists(), other.exists()) == (False, True)
    assert aged.remove(folder, 10) is True
    assert not run.parent.exists()


def test_a_folder_that_was_written_to_meanwhile_stays(
    lake: str, write: Write, without_times: Callable[[str], None]
) -> None:
    run, young = write(f"staging/photos/day/{RUN}/run.json", 9), write(f"staging/photos/day/{RUN}/z.json", 10)
    folder = Aged(f"file://{run.parent}/", 6, 9)
    assert aged.remove(folder, 10) is False
    os.utime(young, (9, 9))
    without_times("z.json")
    assert aged.remove(folder, 10) is False
    assert run.exists()


@pytest.mark.parametrize("name", ["staging", "quarantine", "models", "maps"])
def test_nothing_behind_a_link_is_looked_at(name: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lake" / name).symlink_to(tmp_path / "elsewhere")
    looks: dict[str, Callable[[], object]] = {
        "staging": lambda: aged.unfinished_runs(settings.lake, 1),
        "quarantine": lambda: aged.kept_rejects(settings.lake, 1),
        "models": lambda: aged.models(settings.lake, 1, ()),
        "maps": lambda: aged.feature_maps(settings, 1),
    }
    assert maps.folder_of(settings.lake).endswith("/maps")
    with pytest.raises(StoreRefused, match=f"/{name} leads to .*/elsewhere by a link; nothing is removed there"):
        looks[name]()
