"""Re-drives on an object store, and two re-drives of one partition that register at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import OlderRun
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.publishing import SPAWN, in_processes
from support.redriving import SMALL, mend, names_of, small_partition, without_run

ROUNDS = 3


@pytest.fixture
def on_minio(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Settings:
    """The test's deployment, with its lake in MinIO."""
    server = request.getfixturevalue("_real_stores")("minio")
    environment = request.getfixturevalue("aws_env")
    environment.setenv("AWS_ENDPOINT_URL", server.address)
    environment.setattr("boto3.DEFAULT_SESSION", request.getfixturevalue("_s3_session"))
    environment.setenv("IMAGEFEATURES_LAKE", f"s3://images/{tmp_path.name}/lake")
    return Settings.from_env()


def staged(settings: Settings) -> list[str]:
    """What lies in the lake of runs that are not published."""
    folders = (f"{settings.lake}/staging", f"{settings.lake}/publishing")
    return [stored.uri for folder in folders for stored in storage.list_objects(folder)]


def test_a_re_drive_is_merged_on_an_object_store_and_a_refused_one_leaves_nothing(
    on_minio: Settings, tmp_path: Path
) -> None:
    photos = f"s3://images/{tmp_path.name}/photos"
    partition = small_partition(photos, on_minio)
    before = without_run(partition.features)
    mend(photos, SMALL[0], SMALL[1])
    late = partition.ready()
    assert partition.redrive().summary["redriven"] == len(SMALL)
    partition.check()
    after = without_run(partition.features)
    assert {uri: after[uri] for uri in before} == before
    assert names_of(after) == names_of(before) | set(SMALL[:2])
    assert names_of(partition.quarantine) == {SMALL[2]}
    with pytest.raises(OlderRun):
        register.register(late.layout.run_file, on_minio)
    assert without_run(partition.features) == after
    assert staged(on_minio) == []


def registered(run_file: str, settings: Settings, start: Any, results: Any) -> None:
    start.wait()
    try:
        register.register(run_file, settings)
    except OlderRun:
        results.put((run_file, "refused"))
    else:
        results.put((run_file, "published"))


@pytest.mark.long
@pytest.mark.parametrize("where", ["folder and SQLite", "MinIO and PostgreSQL"])
def test_of_two_re_drives_that_register_at_the_same_moment_one_is_merged_and_nothing_is_lost(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = f"file://{tmp_path}/photos"
    if where == "folder and SQLite":
        settings = request.getfixturevalue("settings")
    else:
        make_database: Callable[..., str] = request.getfixturevalue("make_database")
        request.getfixturevalue("on_minio")
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", make_database())
        settings = Settings.from_env()
        photos = f"s3://images/{tmp_path.name}/photos"
    for _ in range(ROUNDS):
        partition = small_partition(photos, settings)
        before = without_run(partition.features)
        mend(photos, *SMALL)
        runs = {name: partition.ready(uris=[f"{photos}/{partition.key}/{name}"]) for name in SMALL[:2]}
        start, results = SPAWN.Barrier(len(runs)), SPAWN.Queue()
        in_processes(registered, [(run.layout.run_file, settings, start, results) for run in runs.values()])
        said = dict(results.get(timeout=60) for _ in runs)
        merged = {name for name, run in runs.items() if said[run.layout.run_file] == "published"}
        assert len(merged) == 1, said
        partition.check()
        assert names_of(partition.quarantine) == set(SMALL) - merged
        after = without_run(partition.features)
        assert names_of(after) == names_of(before) | merged
        assert {uri: after[uri] for uri in before} == before
        assert staged(settings) == []
        partition.redrive()
        partition.check()
        assert partition.quarantine == {}
        assert names_of(partition.features) == names_of(before) | set(SMALL)
