"""A power cut at fifty moments of three publications: the old run or the new one, readable, and never an older one.

The lake is on an ext4 disk of the test's own. While three runs are planned, worked and published there, the disk is
copied as it is at random moments, without anything being written back first. Each copy is then mounted, as after a
power cut, and read. CUTS says how many (50), SEED which moments (0).
"""

from __future__ import annotations

import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.catalog import repair, tables
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.settings import REPOSITORY, Settings
from publisher import publish
from support.disks import copy_still, images_folder, make_ext4, mounted, needs_mounts
from support.photos import fill, jpeg

CUTS = int(os.environ.get("CUTS") or "50")
SEED = int(os.environ.get("SEED") or "0")
PUBLICATIONS = 3
IMAGES = 8
SIZE = 64 << 20
MOST = 2 * CUTS
"""No more copies than this, however slow the machine is: each takes some 20 MB of the disk."""

pytestmark = needs_mounts


@dataclass
class Cut:
    """A copy of the disk. reported: the run_ids of the publications that had been reported by then."""

    image: Path
    reported: list[str]


@dataclass
class Cuts:
    """published: the run_ids of all publications, in order."""

    made: list[Cut] = field(default_factory=list)
    published: list[str] = field(default_factory=list)


def start(photos: Path, settings: Settings, careless: bool) -> tuple[subprocess.Popen[str], queue.Queue[str]]:
    """The publisher, once it has imported all it needs; and what it reports."""
    environment = os.environ | {
        "IMAGEFEATURES_LAKE": settings.lake, "IMAGEFEATURES_CATALOG": settings.catalog,
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}", "CARELESS": "1" * careless,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("publisher.py"), photos, str(PUBLICATIONS)],
        cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    reported: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            reported.put(line.strip())

    threading.Thread(target=listen, daemon=True).start()
    return process, reported


def cut_often(photos: Path, settings: Settings, images: Path, disk: Path, careless: bool = False) -> Cuts:
    """Three publications on the disk, and its copies: at random moments, and right after each publication."""
    moments, cuts, seconds = random.Random(SEED), Cuts(), 6.0
    with mounted(make_ext4(images / "disk", SIZE), disk) as device:
        (disk / "lake").mkdir()
        os.sync()
        process, reported = start(photos, settings, careless)
        try:
            while not (disk / "lake" / "catalog.db").exists():  # it has started
                assert process.poll() is None
                time.sleep(0.01)
            while len(cuts.made) < CUTS or (process.poll() is None and len(cuts.made) < MOST):
                gap, in_register = moments.uniform(0, 2 * seconds / CUTS), moments.uniform(0, 0.1)
                began = time.monotonic()
                while time.monotonic() - began < (in_register if publishing(disk) else gap) and reported.empty():
                    time.sleep(0.001)
                process.send_signal(signal.SIGSTOP)
                while not reported.empty():
                    cuts.published.append(reported.get())
                image = images / f"cut-{len(cuts.made):03d}"
                copy_still(images / "disk", device, image)
                cuts.made.append(Cut(image, list(cuts.published)))
                process.send_signal(signal.SIGCONT)
            assert process.wait(600) == 0
        finally:
            process.kill()  # also one that is stopped
            process.wait()
        time.sleep(0.1)
        while not reported.empty():
            cuts.published.append(reported.get())
    assert len(cuts.published) == PUBLICATIONS
    return cuts


def publishing(disk: Path) -> bool:
    """Whether register is swapping tables: the moments that matter, of which there are few by chance."""
    try:
        return any((disk / "lake" / "publishing").glob("*/*"))
    except FileNotFoundError:  # it ended between the listing of the folder and that of the run in it
        return True


def state(settings: Settings) -> str | None:
    """The run_id of features.runs; None before the first publication. Reads every row of every table."""
    if not Path(settings.lake.removeprefix("file://"), "catalog.db").exists():
        return None
    with tables.open_catalog(settings) as catalog:
        assert [report.current.faults for report in repair.examine(catalog) if report.current.faults] == []
        there = {name[-1] for name in catalog.list_tables("features")}
    if "photos" in there:
        assert len(set(read.table(settings, "photos")["run_id"].to_pylist())) <= 1
    read.table(settings, "quarantine")
    runs = read.runs(settings)
    assert len(runs) <= 1
    if not runs:
        return None
    run_id: str = runs[0]["run_id"]
    if "photos" in there and len(read.table(settings, "photos")) == 0:
        raise AssertionError("a run is published, and its rows are gone")
    return run_id


@pytest.fixture
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    lake = f"file://{tmp_path}/disk/lake"
    monkeypatch.setenv("IMAGEFEATURES_LAKE", lake)
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/disk/lake/catalog.db?timeout=60")
    return Settings.from_env()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(IMAGES)} | {"bad.jpg": b""})


def test_after_a_power_cut_the_tables_are_the_old_runs_or_the_new_ones(
    on_disk: Settings, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    with images_folder(tmp_path) as images:
        cuts = cut_often(photos, on_disk, images, tmp_path / "disk")
        for number, cut in enumerate(cuts.made):
            with mounted(cut.image, tmp_path / "disk"):
                run_id = state(on_disk)
                standing = 0 if run_id is None else cuts.published.index(run_id) + 1
                reported = len(cut.reported)
                assert reported <= standing <= reported + 1, f"cut {number}: {run_id} of {cuts.published}"
                seen["the run reported last" if standing == reported else "the run not yet reported"] += 1
                if number % 5 == 0:  # the next run works, and ends what was begun
                    later = publish(photos, on_disk)
                    assert state(on_disk) == later
                    assert len(read.table(on_disk, "photos")) == IMAGES
                    assert set(read.table(on_disk, "quarantine")["run_id"].to_pylist()) == {later}
                    seen["runs after the cut"] += 1
            cut.image.unlink()
    with capsys.disabled():
        print(f"\n{len(cuts.made)} power cuts in {PUBLICATIONS} publications: {dict(seen)}; 0 unreadable, 0 older")
    assert len(cuts.made) >= CUTS


def test_a_lake_that_waits_for_no_disk_is_destroyed_by_the_same_cuts(
    on_disk: Settings, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test above can fail: as before this version waited, tables cannot be read."""
    unreadable = 0
    with images_folder(tmp_path) as images:
        cuts = cut_often(photos, on_disk, images, tmp_path / "disk", careless=True)
        for cut in cuts.made:
            with mounted(cut.image, tmp_path / "disk"):
                try:
                    state(on_disk)
                except (ImageFeaturesError, AssertionError):
                    unreadable += 1
            cut.image.unlink()
    with capsys.disabled():
        print(f"\nwithout waiting: {unreadable} of {len(cuts.made)} copies cannot be read")
    assert unreadable > 0
