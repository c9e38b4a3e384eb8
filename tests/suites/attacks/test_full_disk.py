"""A disk that is full or fills up while register publishes: nothing changed, or the next run of any dataset ends it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagefeatures import layout, read, storage
from imagefeatures.catalog import room
from imagefeatures.errors import ImageFeaturesError, StoreRefused
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.disks import needs_mounts, tmpfs
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

pytestmark = needs_mounts

KIB = 1 << 10
LEVELS = [0, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 512]
"""KiB that are left on the disk."""

TABLES = ("quarantine", "photos", "runs")


@pytest.fixture
def disk(settings: Settings) -> Iterator[Path]:
    """The lake is on a disk of 64 MB."""
    with tmpfs(Path(settings.lake.removeprefix("file://")), 64 << 20) as folder:
        yield folder


@pytest.fixture
def finished(disk: Path, make_run: MakeRun, tmp_path: Path) -> Callable[..., Run]:
    """finished(name): a run of that dataset with every step done, ready to register; one object of it is rejected."""
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)} | {"bad.jpg": b""})

    def make(name: str = "photos") -> Run:
        run = make_run(photos, {"reuse": False}, limits={"max_rejected": 0.5}, name=name)
        run_steps(run, THIS_PROCESS)
        return run

    return make


def leave(disk: Path, free: int) -> None:
    """Fill the disk until so many bytes are free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    status = os.statvfs(disk)
    with ballast.open("wb") as file:
        left = status.f_bavail * status.f_frsize - free
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))


def runs_in(settings: Settings) -> list[set[str]]:
    rows = {name: read.table(settings, name).to_pylist() for name in TABLES}
    return [{row["run_id"] for row in rows[name] if row.get("dataset", "photos") == "photos"} for name in TABLES]


def tried(run: Run, settings: Settings) -> ImageFeaturesError | None:
    try:
        register.register(run.layout.run_file, settings)
    except ImageFeaturesError as error:
        return error
    return None


@pytest.mark.parametrize("moment", ["before register", "after the check of room"])
def test_every_fill_level_ends_with_three_tables_of_one_run(
    finished: Callable[..., Run], disk: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, moment: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    seen: Counter[str] = Counter()
    register.register((old := finished()).layout.run_file, settings)
    register.register(finished("other").layout.run_file, settings)
    check = room.check
    for level in LEVELS:
        new = finished()
        with monkeypatch.context() as patched:
            if moment == "before register":
                leave(disk, level * KIB)
            else:
                patched.setattr(room, "check", lambda *args, left=level: (check(*args), leave(disk, left * KIB)))
            error = tried(new, settings)
        (disk / "ballast").unlink(missing_ok=True)
        quarantined, registered, published = runs_in(settings)
        assert published in ({old.run_id}, {new.run_id})
        assert (error is None) == (published == {new.run_id} and not notes(settings))
        if error is not None:
            assert "\n" not in str(error)
            assert "free some space there" in str(error), error
        if moment == "before register":
            assert isinstance(error, StoreRefused)
            assert runs_in(settings) == [{old.run_id}] * 3
        mixed = len({str(runs) for runs in (quarantined, registered, published)}) > 1
        seen["mixed until the next run" if mixed else "old" if published == {old.run_id} else "new"] += 1
        register.register(finished("other").layout.run_file, settings)  # a run of another dataset
        (standing,) = {frozenset(runs) for runs in runs_in(settings)}
        assert notes(settings) == []
        assert standing in ({old.run_id}, {new.run_id})
        assert not mixed or standing == {new.run_id}
        if standing == {old.run_id}:
            assert tried(new, settings) is None
        old = new
    with capsys.disabled():
        print(f"\n{len(LEVELS)} fill levels, {moment}: {dict(seen)}; then 0 mixed")
    assert (seen["mixed until the next run"] > 0) == (moment != "before register")


def notes(settings: Settings) -> list[str]:
    return [stored.uri for stored in storage.list_objects(layout.publications_folder(settings.lake))]
