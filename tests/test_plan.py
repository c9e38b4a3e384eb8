from __future__ import annotations

import datetime as dt
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError, StoreRefused
from imagefeatures.layout import Layout
from imagefeatures.plan import load_run, plan_run, settle_partition
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.photos import fill
from support.shared import PARTITION, PREPROCESSING, SPEC, MakeRun

DATASET = Dataset(name="fruit", source="file:///photos/{partition}/", on_empty="skip")
WHOLE = Dataset(name="fruit", source="file:///photos/")


def test_the_runs_of_one_second_have_run_ids_in_the_order_of_their_plans(settings: Settings) -> None:
    run_ids = [load_run(plan_run(DATASET, RunParams(), PARTITION, settings)).run_id for _ in range(20)]
    assert run_ids == sorted(set(run_ids))


def test_run_json_holds_every_fact_of_the_run(settings: Settings) -> None:
    before = dt.datetime.now(dt.UTC)
    params = RunParams(sample=0.5, max_rejected=0.2, shard_images=7, shard_bytes=2**21)
    uri = plan_run(DATASET, params, PARTITION, settings)
    run = load_run(uri)
    assert uri == f"{settings.lake}/staging/fruit/{PARTITION}/{run.run_id}/run.json" == run.layout.run_file
    assert (run.partition, str(run.source), run.lake) == (PARTITION, f"file:///photos/{PARTITION}/", settings.lake)
    assert (run.dataset.sample, run.dataset.limits.max_rejected) == (0.5, 0.2)
    assert (run.shard_images, run.shard_bytes) == (7, 2**21)
    assert run.fingerprint == SPEC.fingerprint(PREPROCESSING)
    assert before <= run.started_at <= dt.datetime.now(dt.UTC)
    assert run.versions["python"] == platform.python_version()
    assert run.versions["pillow"] == version("pillow")
    assert {"imagefeatures", "pyspark", "apache-airflow", "pyarrow"} <= set(run.versions)


def test_a_run_file_holds_no_secret(
    settings: Settings, make_database: Callable[..., str], aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "canary-1")
    aws_env.setenv("IMAGEFEATURES_CATALOG", make_database("canary-2"))
    uri = plan_run(DATASET, RunParams(), PARTITION, Settings.from_env())
    assert b"canary" not in storage.read(uri)


def test_two_runs_of_one_partition_never_share_a_folder(make_run: MakeRun, tmp_path: Path) -> None:
    assert len({make_run(fill(tmp_path / "photos", {"1.jpg": b"x"})).layout.run for _ in range(20)}) == 20


def test_the_error_for_a_missing_run_json_says_what_to_do(settings: Settings) -> None:
    uri = Layout(settings.lake, "fruit", PARTITION, "20261103T000000-0a1b2c3d").run_file
    with pytest.raises(ParamsError, match=rf"^--run: there is no {uri}; start a new run of this partition$"):
        load_run(uri)


def test_a_run_json_with_unknown_fields_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    uri = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"})).layout.run_file
    storage.write(uri, json.dumps({**json.loads(storage.read(uri)), "retries": 3}).encode())
    with pytest.raises(ParamsError, match=r"is not a run\.json of this version: retries: unknown field"):
        load_run(uri)


def test_a_lake_that_cannot_be_written_refuses_the_run(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").touch()
    broken = Settings(f"file://{tmp_path}/file", settings.catalog, settings.datasets, settings.cache)
    with pytest.raises(StoreRefused, match="Not a directory"):
        plan_run(DATASET, RunParams(), PARTITION, broken)


@pytest.mark.parametrize(
    ("given", "own", "settled"),
    [(PARTITION, None, PARTITION), (None, PARTITION, PARTITION), (PARTITION, PARTITION, PARTITION), ("a", None, "a")],
)
def test_the_partition_is_settled_once(given: str | None, own: str | None, settled: str) -> None:
    assert settle_partition(RunParams(partition=given), own, DATASET) == settled
    assert settle_partition(RunParams(partition=given), own, WHOLE) == settled


def test_two_different_partitions_are_refused() -> None:
    with pytest.raises(ParamsError, match=rf"^partition: the parameters say 2026-11-03, .* is {PARTITION}; leave"):
        settle_partition(RunParams(partition="2026-11-03"), PARTITION, WHOLE)


def test_no_partition_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"^partition: a manual run needs one, such as 2026-11-02$"):
        settle_partition(RunParams(), None, DATASET)


def test_no_partition_is_needed_where_the_source_has_none() -> None:
    assert settle_partition(RunParams(), None, WHOLE) == "all"


@pytest.mark.parametrize("key", ["../x", "2026-11-02T00:00:00+00:00", ""])
def test_a_partition_key_that_is_no_folder_name_is_refused(key: str) -> None:
    with pytest.raises(ParamsError, match=r"^partition: "):
        settle_partition(RunParams(), key, DATASET)


def test_the_layout_of_a_run_follows_from_its_lake_dataset_partition_and_id(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    assert run.layout == Layout(run.lake, "photos", run.partition, run.run_id)
