"""What a re-drive does to its partition: what is whole now moves, and nothing else changes.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from imagefeatures import copies, local, read, sealed, storage
from imagefeatures.catalog import standing
from imagefeatures.errors import AuditFailed, CatalogError, OlderRun, ParamsError
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.steps.register import ALREADY, REGISTERED
from imagefeatures.workers import ThisProcess
from support.disturbed_work import Forbidden
from support.photos import fill
from support.redriving import (
    BAD,
    GOOD,
    MENDED,
    Partition,
    bad_name,
    bad_partition,
    broken,
    small_partition,
    whole,
    without_run,
)
from support.shared import PARTITION, THIS_PROCESS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def partition(photos: Path, settings: Settings) -> Partition:
    """Published, with BAD objects in the quarantine."""
    made = bad_partition(photos, settings)
    made.publish()
    assert (len(made.features), len(made.quarantine)) == (GOOD, BAD)
    return made


def uri(photos: Path, at: int) -> str:
    return f"file://{photos}/{bad_name(at)}"


def test_what_is_mended_moves_what_is_not_gets_its_new_reason_and_nothing_else_changes(
    partition: Partition, photos: Path
) -> None:
    features, quarantine, run = partition.features, partition.quarantine, partition.run
    fill(photos, {bad_name(at): whole(at) for at in range(MENDED)})
    still = range(MENDED, BAD)
    fill(photos, {bad_name(at): broken(at + 1) for at in still})
    (photos / bad_name(BAD - 1)).unlink()
    fill(photos, {f"{PARTITION}/red/new.jpg": whole(77)})  # no re-drive takes what was never quarantined
    outcome = partition.redrive()
    assert (outcome.state, outcome.summary["redriven"]) == (REGISTERED, BAD)
    partition.check()
    moved = {uri(photos, at) for at in range(MENDED)}
    assert partition.features.keys() == features.keys() | moved
    after = without_run(partition.features)
    assert {at: row for at, row in after.items() if at not in moved} == without_run(features)
    assert {after[uri(photos, at)]["label"] for at in range(MENDED)} == {"red", "green"}
    assert partition.quarantine.keys() == quarantine.keys() - moved
    expected = {uri(photos, at): ["EMPTY_OBJECT", "TRUNCATED", "UNSUPPORTED_FORMAT"][(at + 1) % 3] for at in still} | {
        uri(photos, BAD - 1): "NOT_FOUND"
    }
    assert {at: row["reason"] for at, row in partition.quarantine.items()} == expected
    assert all(row["reason"] != quarantine[at]["reason"] for at, row in partition.quarantine.items())
    assert all(row["quarantined_at"] > quarantine[at]["quarantined_at"] for at, row in partition.quarantine.items())
    now = partition.run
    assert (now["listed"], now["registered"], now["quarantined"]) == (GOOD + BAD, GOOD + MENDED, BAD - MENDED)
    assert (run["redriven"], now["redriven"], now["reused"]) == (0, BAD, GOOD)
    assert now["passed_over"] == run["passed_over"]
    assert now["ingest_images"] == BAD
    assert [one["shard"] in (0, 1) for one in now["slowest"]] == [True] * 5  # its own: it has two shards
    text = str(outcome)
    assert f"{GOOD + BAD} listed = {GOOD + MENDED} registered ({GOOD} reused, {MENDED} computed)" in text
    assert f"; {BAD} of them taken again; " in text


def test_a_later_run_of_the_partition_computes_nothing_and_is_a_run_like_any_other(
    partition: Partition, photos: Path
) -> None:
    fill(photos, {bad_name(at): whole(at) for at in range(MENDED)})
    partition.redrive()
    redriven = partition.features
    outcome = partition.publish(ThisProcess(StepRunner(Forbidden())))
    assert (outcome.summary["reused"], outcome.summary["computed"]) == (GOOD + MENDED, 0)
    partition.check()
    assert without_run(partition.features) == without_run(redriven)
    assert partition.run["redriven"] == 0


@pytest.mark.long
def test_one_re_drive_follows_another(partition: Partition, photos: Path) -> None:
    for begin in range(0, BAD, 10):
        fill(photos, {bad_name(at): whole(at) for at in range(begin, begin + 10)})
        partition.redrive()
        partition.check()
        assert len(partition.features) == GOOD + begin + 10
    assert partition.quarantine == {}
    params = RedriveParams(partition=PARTITION)
    assert choose.partitions(partition.dataset, params, partition.settings) == []


@pytest.mark.long
def test_the_copied_rows_are_in_files_of_a_bounded_size(
    partition: Partition, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "FILE_ROWS", 10)
    fill(photos, {bad_name(0): whole(0)})
    before = without_run(partition.features)
    run = partition.ready()
    register.register(run.layout.run_file, partition.settings)
    partition.check()
    files = read.files(partition.settings, "photos")
    assert all(f"/{run.run_id}-shard-" in file for file in files)
    assert len(files) > 2
    after = without_run(partition.features)
    assert {at: after[at] for at in before} == before


@pytest.mark.long
def test_no_share_of_bad_objects_ends_a_re_drive(photos: Path, settings: Settings) -> None:
    partition = bad_partition(photos, settings, limits={"max_rejected": 0.01})
    partition.publish()
    assert partition.redrive().summary["redriven"] == BAD
    partition.check()
    assert len(partition.quarantine) == BAD


@pytest.mark.long
def test_a_second_register_changes_nothing(partition: Partition, photos: Path) -> None:
    fill(photos, {bad_name(0): whole(0)})
    run = partition.ready()
    assert register.register(run.layout.run_file, partition.settings).state == REGISTERED
    held = partition.features, partition.quarantine, partition.run
    again = register.register(run.layout.run_file, partition.settings)
    assert (again.state, again.summary["redriven"]) == (ALREADY, BAD)
    assert (partition.features, partition.quarantine, partition.run) == held
    assert list(storage.list_objects(f"{partition.settings.lake}/staging")) == []


def test_a_re_drive_of_a_partition_that_has_another_run_by_then_is_refused(partition: Partition, photos: Path) -> None:
    fill(photos, {bad_name(at): whole(at) for at in range(3)})
    late, other = partition.ready(), partition.ready()
    partition.publish()
    held = partition.features, partition.quarantine, partition.run
    with pytest.raises(OlderRun, match=rf"re-drive {late.run_id} .* published now is .*; start a new re-drive$"):
        register.register(late.layout.run_file, partition.settings)
    with pytest.raises(OlderRun):  # nor where an older run may replace a newer one
        register.register(other.layout.run_file, partition.settings, replace_newer=True)
    assert (partition.features, partition.quarantine, partition.run) == held


@pytest.mark.long
def test_of_two_re_drives_the_second_is_refused(partition: Partition, photos: Path) -> None:
    fill(photos, {bad_name(0): whole(0), bad_name(1): whole(1)})
    one, other = partition.ready(uris=[uri(photos, 0)]), partition.ready(uris=[uri(photos, 1)])
    register.register(other.layout.run_file, partition.settings)
    with pytest.raises(OlderRun):
        register.register(one.layout.run_file, partition.settings)
    partition.check()
    assert uri(photos, 1) in partition.features
    assert uri(photos, 0) in partition.quarantine
    partition.redrive(uris=[uri(photos, 0)])
    partition.check()
    assert len(partition.features) == GOOD + 2


@pytest.mark.long
def test_an_interrupted_re_drive_goes_on(partition: Partition, photos: Path) -> None:
    fill(photos, {bad_name(at): whole(at) for at in range(MENDED)})
    run = partition.planned()
    local.run_steps(run, THIS_PROCESS, ("ingest", "validate"))
    assert local.unfinished_run(partition.settings, "photos", PARTITION) == run.layout.run_file
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, partition.settings)
    partition.check()
    assert len(partition.features) == GOOD + MENDED


def test_another_fingerprint_is_refused_with_what_to_do(
    photos: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = small_partition(photos, settings)
    held = standing.standing
    row = partition.run | {"fingerprint": "f" * 32}
    monkeypatch.setattr(standing, "standing", lambda *given: replace(held(*given), row=row))
    with pytest.raises(ParamsError, match=r"^partition: 2026-11-02 of photos has vectors .*; run the whole "):
        partition.planned()
    params = RedriveParams(uris=("file:///nowhere.jpg",))  # of which the partition has none
    assert choose.plan_redrive(partition.dataset, params, PARTITION, settings) is None
    assert choose.partitions(partition.dataset, RedriveParams(reason="RATE_LIMITED"), settings) == []


def test_a_partition_that_is_not_published_is_refused(photos: Path, settings: Settings) -> None:
    dataset = bad_partition(photos, settings).dataset
    with pytest.raises(ParamsError, match=r"^partition: 2026-12-24 of photos is not published; run it: .* run photos"):
        choose.partitions(dataset, RedriveParams(partition="2026-12-24"), settings)


@pytest.mark.long
def test_tables_that_hold_other_rows_than_the_run_are_left_alone(partition: Partition) -> None:
    from imagefeatures.catalog import tables

    catalog = tables.open_catalog(partition.settings)
    table = tables.open_table(catalog, partition.settings, "quarantine")
    table.delete("reason == 'EMPTY_OBJECT'")
    with pytest.raises(CatalogError, match=r"^features.photos 2026-11-02: the tables do not hold what run "):
        partition.planned()


@pytest.mark.parametrize(
    "damage",
    ["changed", *(pytest.param(damage, marks=pytest.mark.long) for damage in ("gone", "of another run", "no table"))],
)
def test_a_selection_that_is_not_what_plan_wrote_is_refused(partition: Partition, damage: str) -> None:
    run = partition.planned()
    place = run.layout.redrive
    content = sealed.decode(place, storage.read(place))
    written = {
        "gone": None,
        "changed": json.dumps(content | {"files": [], "sha256": "0" * 64}).encode(),
        "of another run": sealed.encode(content | {"replaces": run.run_id}),
        "no table": sealed.encode(content | {"chosen": "cGFwZXI="}),
    }[damage]
    if written is None:
        Path(place.removeprefix("file://")).unlink()
    else:
        storage.write(place, written)
    with pytest.raises(AuditFailed, match=r"redrive\.json: "):
        local.run_steps(run, THIS_PROCESS)


@pytest.mark.long
def test_a_published_file_that_is_damaged_stops_the_merge_and_says_so(partition: Partition) -> None:
    run = partition.ready()
    held = partition.run
    (first, *_) = read.files(partition.settings, "photos")
    path = Path(first.removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(AuditFailed, match=r"this file of the published partition cannot be read .*; run the whole"):
        register.register(run.layout.run_file, partition.settings)
    assert partition.run == held


@pytest.mark.long
def test_rows_that_are_missing_from_the_selection_are_noticed(partition: Partition) -> None:
    run = partition.ready()
    place = run.layout.redrive
    content = sealed.decode(place, storage.read(place))
    storage.write(place, sealed.encode(content | {"files": content["files"][1:]}))
    told = rf"published {GOOD} and quarantined {BAD}; of them \d+ and {BAD} are in features\.photos"
    with pytest.raises(AuditFailed, match=told):
        register.register(run.layout.run_file, partition.settings)
