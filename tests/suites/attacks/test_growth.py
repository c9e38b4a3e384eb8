"""A thousand publications: tables that stay small, plan and page that stay quick, and a past that is always whole.

A suite of its own. PUBLICATIONS says how many (1000), KILLS how often the clean-up is killed (30), SEED when (0).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import read
from imagefeatures.catalog import known_files, retention, tables
from imagefeatures.settings import REPOSITORY, Settings
from support.growing import kinds, read_whole_past, rejected_row, run_file, runs_row, unnamed_files, weight
from support.publishing import DAY, in_processes

PUBLICATIONS = int(os.environ.get("PUBLICATIONS") or "1000")
KILLS = int(os.environ.get("KILLS") or "30")
SEED = int(os.environ.get("SEED") or "0")

MOST_BYTES = 20_000_000
NAMES = ("quarantine", "photos", "runs")

PUBLISH = """
import sys
from imagefeatures.settings import Settings
from test_growth import publish, opened
settings = Settings.from_env()
all_tables = opened(settings)
print("ready", flush=True)
for number in range(1_000_000):
    publish(settings, all_tables, f"{sys.argv[1]}-{number}", sys.argv[2])
    print("published", flush=True)
"""


def opened(settings: Settings) -> dict[str, Table]:
    catalog = tables.open_catalog(settings)
    return {name: tables.open_table(catalog, settings, name) for name in NAMES}


def publish(settings: Settings, table: dict[str, Table], run_id: str, partition: str) -> None:
    """Publish a run of three images and one rejected object, as register does."""
    tables.replace_rows(table["quarantine"], partition, "photos", rejected_row("photos", run_id, partition), run_id)
    tables.replace_files(table["photos"], partition, [run_file(settings, run_id, partition)], run_id)
    tables.replace_rows(table["runs"], partition, "photos", runs_row("photos", run_id, partition), run_id)
    for name in NAMES:
        retention.remove_expired(table[name], settings.lake)


def milliseconds(work: Callable[[], object]) -> float:
    """The quickest of five calls."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return min(taken)


def figures(settings: Settings, table: dict[str, Table], partition: str) -> str:
    catalog = tables.open_catalog(settings)
    times = {
        "published": milliseconds(lambda: tables.published(catalog, settings, "photos", partition)),
        "files_with": milliseconds(lambda: known_files.files_with(catalog, "photos", "f")),
        "read.runs": milliseconds(lambda: read.runs(settings)),
    }
    told = ", ".join(f"{what} {taken:.0f} ms" for what, taken in times.items())
    sizes = ", ".join(
        f"{name} {weight(of) / 1e6:.1f} MB in {kinds(of).total()} files" for name, of in table.items()
    )  # fmt: skip
    return f"{told}; {sizes}"


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("partitions", ["one partition", "as many partitions"])
def test_a_thousand_publications_stay_small_and_quick(
    settings: Settings, partitions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = opened(settings)
    for number in range(PUBLICATIONS):
        partition = DAY if partitions == "one partition" else f"day-{number:04}"
        publish(settings, table, f"run-{number:04}", partition)
        if number + 1 in (PUBLICATIONS // 10, PUBLICATIONS):
            with capsys.disabled():
                print(f"\n{number + 1} publications of {partitions}: {figures(settings, table, partition)}")
    kept = settings.retention
    for name, of in table.items():
        found = kinds(of)
        assert unnamed_files(of) == set(), name
        assert len(of.metadata.snapshots) == found["list"] < kept.snapshots + kept.group, name
        assert found["version"] <= retention.VERSIONS_KEPT + 1, name
        assert found["manifest"] <= 3 * (kept.snapshots + kept.group), name
        assert len(of.current_snapshot().manifests(of.io)) <= 30, name
        assert weight(of) < MOST_BYTES or (name, partitions) == ("photos", "as many partitions"), name
    assert len(list(table["runs"].scan().plan_files())) <= tables.SMALL_FILES
    assert len(read.runs(settings)) == (1 if partitions == "one partition" else PUBLICATIONS)


@pytest.mark.timeout(3600)
def test_a_publisher_that_is_killed_over_and_over_leaves_a_whole_past(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_KEEP_SNAPSHOTS", "10")  # a clean-up at nearly every publication
    settings = Settings.from_env()
    table = opened(settings)
    moments, whole = random.Random(SEED), 0
    for kill in range(KILLS):
        process = publishing(f"run-{kill}", DAY)
        begun = time.perf_counter()
        assert process.stdout is not None
        for _ in range(moments.randrange(1, 4)):
            assert process.stdout.readline() == "published\n"
            took, begun = time.perf_counter() - begun, time.perf_counter()
        time.sleep(moments.uniform(0, took))  # in the middle of the next one
        process.kill()
        process.wait()
        for of in table.values():
            rows = read_whole_past(of)
            assert rows
            whole += len(rows)
    for number in range(6):
        publish(settings, table, f"last-{number}", DAY)
    left = {name: sorted(unnamed_files(of)) for name, of in table.items()}
    with capsys.disabled():
        print(
            f"\n{KILLS} kills: {whole} snapshots read, all whole; left over: { ({n: len(f) for n, f in left.items()}) }"
        )
    for name, of in table.items():
        assert len(of.metadata.snapshots) < 12
        # What is left was never published: files of a swap that was killed before its commit.
        assert len(left[name]) <= 5 * KILLS, left[name]
        assert kinds(of)["version"] <= retention.VERSIONS_KEPT + 1 + KILLS


def publishing(run_id: str, partition: str) -> subprocess.Popen[str]:
    """A process that publishes until it is killed, once it has begun."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests"), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, run_id, partition], cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def publish_often(settings: Settings, run_id: str, partition: str, count: int) -> None:
    table = opened(settings)
    for number in range(count):
        publish(settings, table, f"{run_id}-{number}", partition)


def read_often(settings: Settings, count: int) -> None:
    for _ in range(count):
        for name in NAMES:
            for batch in read.batches(settings, name):
                assert batch.num_rows
        time.sleep(0.05)


@pytest.mark.timeout(3600)
def test_publishers_that_clean_up_at_once_never_take_a_readers_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_KEEP_SNAPSHOTS", "20")
    settings = Settings.from_env()
    publish(settings, table := opened(settings), "first", DAY)
    in_processes(_one_of, [("a", settings), ("b", settings), ("reader", settings)])
    for of in table.values():
        assert read_whole_past(of)
        of.refresh()
    publish_often(settings, "last", DAY, 8)
    # A swap that lost a race leaves the version of the metadata that it would have made, which is deleted 20 versions
    # later, and the file with its rows, which pyiceberg wrote before it tried to commit.
    left = {
        name: {file for file in unnamed_files(of) if not file.endswith(".metadata.json")} for name, of in table.items()
    }
    assert left.pop("photos") == set()
    assert all("/data/" in file for files in left.values() for file in files), left


def _one_of(what: str, settings: Settings) -> None:
    if what == "reader":
        read_often(settings, 60)
    else:
        publish_often(settings, what, DAY if what == "a" else "2026-11-03", 40)
