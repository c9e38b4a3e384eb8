"""What a run has cost: from receipts and drivers to columns, words and money."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagefeatures import columns, cost, read, schemas, shards, storage
from imagefeatures.cost import Prices, RunCost
from imagefeatures.errors import StoreError
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import INGEST, MEASURED, SPARK_STEPS
from imagefeatures.steps.register import register
from imagefeatures.usage import drivers, energy
from imagefeatures.usage.drivers import DriverUsage
from imagefeatures.usage.meter import Usage
from imagefeatures.usage.traffic import Traffic
from support.alone import ran_alone
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

ONE = Usage(1.0, 100, Traffic(1, 2, 3, 4, 5))
WORKERS = dict.fromkeys(SPARK_STEPS, ONE)


@pytest.fixture
def finished(make_run: MakeRun, tmp_path: Path) -> Run:
    """A run of twelve photos, three a shard, whose steps on shards are done."""
    photos = fill(tmp_path / "photos", {f"red/{at}.jpg": jpeg(at) for at in range(12)})
    run = make_run(photos, {"shard_images": 3})
    run_steps(run, THIS_PROCESS)
    return run


def published(settings: Settings) -> dict[str, object]:
    (row,) = read.table(settings, "runs").to_pylist()
    return row


def test_a_published_run_has_its_cost(finished: Run, settings: Settings, request: pytest.FixtureRequest) -> None:
    if ran_alone(request):
        return
    receipts = [receipt for step in SPARK_STEPS for receipt in shards.read_receipts(finished.layout, step)]
    outcome = register(finished.layout.run_file, settings)
    row = published(settings)
    assert all(row[f"{step}_core_seconds"] > 0 and row[f"{step}_peak_memory"] > 10**7 for step in MEASURED)
    of_shards = sum(receipt.usage.core_seconds for receipt in receipts)
    found = RunCost.of(row)
    assert found
    assert of_shards < found.core_seconds < of_shards + 30
    assert row["images_per_core_second"] == pytest.approx(12 / found.core_seconds)
    written = sum(receipt.output.size for receipt in receipts)
    assert written < row["bytes_written"] < written + 100_000
    assert row["bytes_read"] > sum(path.stat().st_size for path in Path(finished.dataset.source.uri[7:]).rglob("*.jpg"))
    assert (row["get_requests"], row["put_requests"], row["http_requests"], row["joules"]) == (0, 0, 0, None)
    assert f"{found.core_seconds:,.1f} core-seconds (" in str(found)
    assert {name: outcome.row[name] for name in schemas.RUNS.names if "core" in name} == {
        name: row[name] for name in schemas.RUNS.names if "core" in name
    }


def test_receipts_of_an_earlier_version_make_a_run_without_cost(finished: Run, settings: Settings) -> None:
    uri = finished.layout.receipt(INGEST, 1)
    content = json.loads(storage.read(uri))
    del content["usage"]
    storage.write(uri, json.dumps(content).encode())
    assert shards.read_receipt(uri).usage is None
    register(finished.layout.run_file, settings)
    row = published(settings)
    assert (row["ingest_core_seconds"], row["ingest_peak_memory"], row["bytes_read"]) == (None, None, None)
    assert row["validate_core_seconds"] > 0
    assert RunCost.of(row) is None


def test_a_run_that_an_earlier_version_has_planned_has_no_total(finished: Run, settings: Settings) -> None:
    storage.delete_folder(finished.layout.driver_usages)
    register(finished.layout.run_file, settings)
    row = published(settings)
    assert (row["plan_core_seconds"], row["images_per_core_second"]) == (None, None)
    assert row["ingest_core_seconds"] > 0


def test_all_attempts_of_a_driver_count_and_its_memory_does_not() -> None:
    large = Usage(10.0, 10**9, Traffic())
    kept = {"plan": [DriverUsage(ONE)], INGEST: [DriverUsage(large), DriverUsage(large, joules=2.5)]}
    found = cost.columns(90, WORKERS, kept, ONE)
    assert (found["ingest_core_seconds"], found["ingest_peak_memory"]) == (21.0, 100)
    assert (found["bytes_read"], found["bytes_written"]) == (6, 12)
    assert (found["get_requests"], found["put_requests"], found["http_requests"]) == (18, 24, 30)
    assert found["images_per_core_second"] == 90 / 26
    assert found["joules"] == 2.5
    assert set(found) == {field.name for field in columns.COST_COLUMNS}


def test_a_run_without_images_has_no_rate_and_no_cost_to_show() -> None:
    found = cost.columns(0, WORKERS, {"plan": [DriverUsage(ONE)]}, ONE)
    assert found["images_per_core_second"] is None
    assert RunCost.of(found) is None
    assert RunCost.of({}) is None


def test_money_is_the_sum_of_what_has_a_price() -> None:
    row = cost.columns(500, WORKERS, {"plan": [DriverUsage(ONE)]}, ONE) | {"ingest_images": 500}
    row |= {"bytes_read": 2 * 10**9, "bytes_written": 10**9, "get_requests": 4000, "put_requests": 500}
    assert RunCost.of(row).money is None
    prices = Prices(3600, 0.25, 2, 0.5, 10, "EUR")
    found = RunCost.of(row, prices)
    assert found.money == 6 + 1 + 1 + 1 + 10
    assert found.money_per_million_images == 19 * 2000
    assert str(found).endswith("19.00 EUR, 38,000.00 EUR for a million images")
    assert RunCost.of(row, Prices()).money == 0


def test_a_driver_whose_usage_cannot_be_kept_stops_nothing(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drivers.read(finished.layout)

    def fail(*_: object) -> None:
        raise StoreError("no answer")

    monkeypatch.setattr(storage, "write", fail)
    drivers.keep(finished.layout, INGEST, ONE)
    assert drivers.read(finished.layout) == before


def test_a_driver_usage_that_was_cut_is_left_out(finished: Run) -> None:
    storage.write(f"{finished.layout.driver_usages}/ingest-cut.json", b'{"step": "ingest", "usa')
    assert {step: len(found) for step, found in drivers.read(finished.layout).items()} == dict.fromkeys(
        MEASURED[:-1], 1
    )


def test_a_local_run_has_the_joules_of_its_machine(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in {"name": "package-0", "energy_uj": "1", "max_energy_range_uj": "1000"}.items():
        (zone / name).write_text(text)
    monkeypatch.setattr(energy.Energy.__init__, "__defaults__", (zone.parent,))
    run = make_run(fill(tmp_path / "photos", {"red/a.jpg": jpeg(1)}))
    run_steps(run, THIS_PROCESS)
    register(run.layout.run_file, settings)
    assert published(settings)["joules"] == 0.0
