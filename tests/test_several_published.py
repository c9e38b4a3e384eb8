"""Several models in one publication: all tables hold a run, or none; and what earlier versions wrote is understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import layout, publications, read, relocation, sealed, shards, storage
from imagefeatures.catalog import known_files, retention, tables
from imagefeatures.errors import OlderRun, ParamsError
from imagefeatures.local import run_steps
from imagefeatures.plan import Run, load_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.steps import RESIZE, SPARK_STEPS, register
from imagefeatures.workers import ThisProcess
from support.photos import fill, jpeg
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION

TABLES = ("photos", f"photos__{SECOND}")
EVERY = ("quarantine", *TABLES, "runs")
PHOTOS = {f"{at}.jpg": jpeg(at, 60 + at, 48) for at in range(4)} | {"bad.jpg": b""}


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    fill(tmp_path / "photos" / PARTITION, PHOTOS)
    return Lake(settings, tmp_path / "photos")


def ended_before(table: str, run: Run, settings: Settings, patch: pytest.MonkeyPatch) -> None:
    """Register the run, whose process ends when it comes to that table."""
    swaps = {name: getattr(tables, name) for name in ("replace_rows", "replace_files")}

    def ending(name: str) -> Callable[..., bool]:
        def call(swapped: Any, *rest: object) -> bool:
            if swapped.name()[-1] == table:
                raise KeyboardInterrupt
            return bool(swaps[name](swapped, *rest))

        return call

    with patch.context() as patched, pytest.raises(KeyboardInterrupt):
        for name in swaps:
            patched.setattr(tables, name, ending(name))
        register.register(run.layout.run_file, settings)


def held(lake: Lake) -> list[set[str]]:
    return [lake.run_ids(table) for table in EVERY]


@pytest.mark.parametrize("table", [TABLES[1], pytest.param("photos", marks=pytest.mark.long), "runs"])
def test_an_interrupted_publication_is_finished_for_all_tables(
    lake: Lake, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.published(FIRST, SECOND)
    (old,) = lake.run_ids("runs")
    run = lake.ready(Spies(), FIRST, SECOND)
    ended_before(table, run, lake.settings, monkeypatch)
    done = EVERY.index(table)
    assert held(lake) == [{run.run_id}] * done + [{old}] * (len(EVERY) - done)
    lake.planned(lake.dataset(FIRST, SECOND))  # the next plan
    assert held(lake) == [{run.run_id}] * len(EVERY)
    assert list(storage.list_objects(layout.publications_folder(lake.settings.lake))) == []


@pytest.mark.parametrize("first_time", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_run_that_is_refused_is_taken_back_from_all_tables(
    lake: Lake, first_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not first_time:
        lake.published(FIRST, SECOND)
    before = held(lake)[1:3] if not first_time else [set(), set()]
    older = lake.ready(Spies(), FIRST, SECOND)
    later = lake.ready(Spies(), FIRST)  # one that has the first model alone
    ended_before("runs", older, lake.settings, monkeypatch)
    kept = Path(older.layout.publication.removeprefix("file://"))
    written = kept.read_bytes()
    register.register(later.layout.run_file, lake.settings)  # finishes the older one first
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(written)  # as if the older one's register had gone on from there
    with tables.open_catalog(lake.settings) as catalog:
        second = tables.open_table(catalog, lake.settings, TABLES[1])
        assert lake.run_ids(TABLES[1]) == {older.run_id}
        publications.finish_interrupted(catalog, lake.settings)
        second.refresh()
    assert held(lake) == [{later.run_id}, {later.run_id}, before[1], {later.run_id}]


def test_a_re_drive_merges_into_every_table(lake: Lake) -> None:
    lake.published(FIRST, SECOND)
    features = [lake.rows(table) for table in TABLES]
    fill(lake.photos / PARTITION, {"bad.jpg": jpeg(77, 50, 50)})
    spies, dataset = Spies(), lake.dataset(FIRST, SECOND)
    run_file = choose.plan_redrive(dataset, RedriveParams(partition=PARTITION), PARTITION, lake.settings)
    assert run_file
    run = load_run(run_file)
    run_steps(run, ThisProcess(spies.work))
    outcome = register.register(run_file, lake.settings)
    assert (outcome.summary["registered"], outcome.summary["redriven"]) == (5, 1)
    assert outcome.summary["models"][SECOND]["reused"] == 4
    assert spies.computed == {FIRST: 1, SECOND: 1}
    assert held(lake) == [set(), {run.run_id}, {run.run_id}, {run.run_id}]
    for table, before in zip(TABLES, features, strict=True):
        assert {name: row for name, row in lake.rows(table).items() if name != "bad.jpg"} == before
        assert len(lake.rows(table)) == 5


def test_a_re_drive_of_another_set_of_models_is_refused_with_the_remedy(lake: Lake) -> None:
    lake.published(FIRST, SECOND)
    given = (RedriveParams(partition=PARTITION), PARTITION, lake.settings)
    with pytest.raises(ParamsError, match=rf"has no vectors of {THIRD}, which a run computes now; run the whole part"):
        choose.plan_redrive(lake.dataset(FIRST, SECOND, THIRD), *given)
    # Of a model that is no longer in the list nothing is merged, and its table stays.
    assert choose.plan_redrive(lake.dataset(FIRST), *given)


def test_a_run_that_an_earlier_version_planned_and_began_is_finished(lake: Lake) -> None:
    run = lake.planned(lake.dataset(FIRST))
    spies = Spies()
    run_steps(run, ThisProcess(spies.work), SPARK_STEPS[:3])
    for uri in [run.layout.run_file, *(run.layout.receipt(step, 0) for step in SPARK_STEPS[:3])]:
        content = json.loads(storage.read(uri))
        for name in ("others", "further"):
            content.pop(name, None)
        content.get("dataset", {}).pop("models", None)
        storage.write(uri, json.dumps(content).encode())
    storage.write(run.layout.known_files, sealed.encode({"files": []}))
    run = load_run(run.layout.run_file)
    assert run.others == shards.read_receipt(run.layout.receipt(RESIZE, 0)).further == ()
    run_steps(run, ThisProcess(spies.work))
    assert register.register(run.layout.run_file, lake.settings).summary["registered"] == 4
    assert spies.decoded == 4


def test_a_publication_that_an_earlier_version_wrote_down_is_finished(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lake.ready(Spies(), FIRST)
    ended_before("photos", run, lake.settings, monkeypatch)
    content = sealed.decode(run.layout.publication, storage.read(run.layout.publication))
    runs = sealed.table_of_text(content["runs"], publications.schemas.RUNS)
    earlier = runs.select([name for name in runs.column_names if not name.startswith("models")])
    content |= {"files": content["files"]["photos"], "runs": sealed.text_of_table(earlier)}
    storage.write(run.layout.publication, sealed.encode(content))
    lake.planned(lake.dataset(FIRST))
    assert [lake.run_ids(table) for table in ("quarantine", "photos", "runs")] == [{run.run_id}] * 3
    assert read.runs(lake.settings)[0]["models"] is None


def test_a_publication_that_names_a_strangers_table_is_none(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lake.ready(Spies(), FIRST, SECOND)
    ended_before("photos", run, lake.settings, monkeypatch)
    content = sealed.decode(run.layout.publication, storage.read(run.layout.publication))
    assert list(content["files"]) == list(TABLES)
    for table in ("fruit", "quarantine", "photos__a/../..", ".."):
        forged = content | {"files": {"photos": content["files"]["photos"], table: []}}
        storage.write(run.layout.publication, sealed.encode(forged))
        with pytest.raises(ValueError, match="which is not of its run"):
            publications._read(run.layout.publication, run.run_id, lake.settings.lake)


def test_files_of_every_table_follow_a_lake_that_has_moved(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lake.ready(Spies(), FIRST, SECOND)
    ended_before("photos", run, lake.settings, monkeypatch)
    assert relocation.relocate_sealed(run.layout.publication, ("files",), lake.settings.lake, "s3://b/new")
    files = sealed.decode(run.layout.publication, storage.read(run.layout.publication))["files"]
    assert all(file.startswith("s3://b/new/") for of_table in files.values() for file in of_table)


def test_a_file_of_a_further_table_stays_while_its_run_may_be_published(lake: Lake) -> None:
    run = lake.ready(Spies(), FIRST, SECOND)
    for table, receipt in zip(TABLES, shards.read_receipts(run.layout, "featurize")[0].outputs, strict=True):
        assert receipt.own.uri.startswith(run.layout.of_table(table))
        assert retention._may_be_published([receipt.own.uri], lake.settings.lake) == {receipt.own.uri}
    storage.delete_folder(run.layout.run)
    assert retention._may_be_published([receipt.own.uri], lake.settings.lake) == set()


def test_the_column_of_the_models_is_added_to_a_table_of_an_earlier_version(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imagefeatures.schemas as schemas

    earlier = pa.schema([field for field in schemas.RUNS if not field.name.startswith("models")])
    with monkeypatch.context() as patched:
        patched.setitem(schemas.TABLES, "runs", earlier)
        with tables.open_catalog(lake.settings) as catalog:
            assert "models" not in tables.open_table(catalog, lake.settings, "runs").schema().column_names
    lake.published(FIRST, SECOND)
    assert [model for model, _ in read.runs(lake.settings)[0]["models"]] == [SECOND]


def test_an_older_run_of_several_models_is_refused_before_anything(lake: Lake) -> None:
    older = lake.ready(Spies(), FIRST, SECOND)
    lake.published(FIRST)
    with pytest.raises(OlderRun):
        register.register(older.layout.run_file, lake.settings)
    with tables.open_catalog(lake.settings) as catalog:
        assert known_files.files_with(catalog, TABLES[1], older.others[0].fingerprint) == []
