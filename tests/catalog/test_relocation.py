"""A lake that was copied or moved is made whole in its new place, without the old one."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import load_catalog

from imagefeatures import local, read, storage
from imagefeatures.catalog import repair, tables
from imagefeatures.cli import main
from imagefeatures.datasets import Dataset
from imagefeatures.errors import AuditFailed, CatalogRefused
from imagefeatures.plan import load_run, plan_run
from imagefeatures.redrive import choose
from imagefeatures.redrive.selection import selected
from imagefeatures.run_params import RedriveParams, RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps.register import register
from support.publishing import DAY
from support.relocating import TABLES, Moved, catalog_rows, digests, path_of, published, rows
from support.shared import BUCKET, THIS_PROCESS


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_lake_that_was_copied_or_moved_is_whole_and_independent(
    original: Settings, moved: Moved, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(original)
    snapshots = [s.snapshot_id for s in tables.open_catalog(original).load_table("features.photos").snapshots()]
    before_of_original = digests(path_of(original.lake)), catalog_rows(path_of(original.lake) / "catalog.db")
    new = moved(how)
    copied = digests(path_of(new.lake)), catalog_rows(path_of(new.lake) / "catalog.db")
    assert main(["relocate-lake"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (
        said[1]
        == f"features.photos lies in {original.lake}: 4 snapshots to take along, 2 data files in the current one"
    )
    assert said[-1] == f"Nothing was changed. --apply lets them name {new.lake}; {original.lake} is not touched."
    assert (digests(path_of(new.lake)), catalog_rows(path_of(new.lake) / "catalog.db")) == copied
    assert main(["relocate-lake", original.lake, "--apply"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Done. 3 tables and 0 unfinished runs now lie in ")
    if how == "copy":
        assert (
            digests(path_of(original.lake)),
            catalog_rows(path_of(original.lake) / "catalog.db"),
        ) == before_of_original
        path_of(original.lake).rename(path_of(original.lake).with_name("away"))
    assert rows(new) == before
    moved_table = tables.open_catalog(new).load_table("features.photos")
    assert [s.snapshot_id for s in moved_table.snapshots()] == snapshots
    assert moved_table.scan(snapshot_id=snapshots[0]).to_arrow().num_rows == 2  # the past can be read too
    files = read.files(new, "photos")
    assert duckdb.execute("select count(*) from read_parquet($files)", {"files": files}).fetchone() == (4,)
    plain = load_catalog("imagefeatures", type="sql", uri=new.catalog, warehouse=f"{new.lake}/warehouse")
    assert plain.load_table("features.photos").scan().to_arrow().num_rows == 4
    assert main(["repair"]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"features.{name}: sound" for name in TABLES
    ]
    assert main(["relocate-lake", "--apply"]) == 0
    assert "there is nothing to do" in capsys.readouterr().out


@pytest.mark.long
def test_runs_go_on_in_the_new_place_with_reuse_and_leave_the_old_one_alone(
    original: Settings, two_days: Path, moved: Moved
) -> None:
    new = moved("copy")
    before_of_original = digests(path_of(original.lake)), catalog_rows(path_of(original.lake) / "catalog.db")
    assert main(["relocate-lake", "--apply"]) == 0
    for _ in range(2):
        outcome = published(new, two_days)
        assert (outcome.row["registered"], outcome.row["reused"], outcome.row["quarantined"]) == (2, 2, 1)
    assert (digests(path_of(original.lake)), catalog_rows(path_of(original.lake) / "catalog.db")) == before_of_original
    assert all(not report.current.faults for report in repair.examine(tables.open_catalog(new)))
    current = tables.open_catalog(new).load_table("features.photos")
    for uri in current.inspect.all_data_files()["file_path"].to_pylist():
        assert uri.startswith(f"{new.lake}/")


def test_no_file_that_the_tables_name_names_the_old_place(original: Settings, moved: Moved) -> None:
    new = moved("copy")
    assert main(["relocate-lake", "--apply"]) == 0
    for name in TABLES:
        table = tables.open_catalog(new).load_table(f"features.{name}")
        named = {path_of(table.metadata_location)}
        for snapshot in table.snapshots():
            named |= {path_of(snapshot.manifest_list)}
            named |= {path_of(manifest.manifest_path) for manifest in snapshot.manifests(table.io)}
        assert len(named) > 2
        for file in named:
            assert f"{original.lake}/warehouse".encode() not in file.read_bytes()


@pytest.mark.long
def test_an_unfinished_run_and_an_interrupted_publication_go_on_in_the_new_place(
    own: Settings, two_days: Path, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures import publications

    dataset = Dataset(name="photos", source=f"file://{two_days}/{{partition}}/", limits={"max_rejected": 0.5})
    run = load_run(plan_run(dataset, RunParams(), DAY, own), own.lake)
    local.run_steps(run, THIS_PROCESS, ("ingest", "validate", "resize"))
    other = load_run(plan_run(dataset, RunParams(reuse=False), "2026-11-03", own), own.lake)
    local.run_steps(other, THIS_PROCESS)
    with monkeypatch.context() as patch:
        patch.setattr(publications, "_swap", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            register(other.layout.run_file, own)
    new = moved("move", path_of(own.lake))
    assert main(["relocate-lake", "--apply"]) == 0
    here = load_run(run.layout.run_file.replace(own.lake, new.lake), new.lake)
    local.run_steps(here, THIS_PROCESS)
    outcome = register(here.layout.run_file, new)  # which finishes the other's publication first
    assert (outcome.row["run_id"], outcome.row["reused"]) == (run.run_id, 2)
    assert {row["run_id"] for row in read.runs(new)} == {run.run_id, other.run_id}
    assert not list(storage.list_objects(f"{new.lake}/publishing"))
    assert read.table(new, "photos").num_rows == 4


def test_a_re_drive_under_way_goes_on_in_the_new_place(own: Settings, two_days: Path, moved: Moved) -> None:
    dataset = Dataset(name="photos", source=f"file://{two_days}/{{partition}}/", limits={"max_rejected": 0.5})
    run_file = choose.plan_redrive(dataset, RedriveParams(partition=DAY), DAY, own)
    assert run_file
    before = selected(load_run(run_file, own.lake).layout, load_run(run_file, own.lake).redrive)
    new = moved("move", path_of(own.lake))
    assert main(["relocate-lake", "--apply"]) == 0
    here = load_run(run_file.replace(own.lake, new.lake), new.lake)
    after = selected(here.layout, here.redrive)
    assert [file.uri for file in after.files] == [file.uri.replace(own.lake, new.lake) for file in before.files] != []
    assert dataclasses.replace(after, files=before.files) == before
    local.run_steps(here, THIS_PROCESS)
    outcome = register(here.layout.run_file, new)
    assert [outcome.row[name] for name in ("registered", "quarantined", "redriven")] == [2, 1, 1]
    assert {row["run_id"] for row in read.runs(new) if row["partition_key"] == DAY} == {here.run_id}
    assert read.table(new, "photos").num_rows == 4


def test_a_damaged_file_of_an_unfinished_run_stops_that_run_alone(own: Settings, two_days: Path, moved: Moved) -> None:
    dataset = Dataset(name="photos", source=f"file://{two_days}/{{partition}}/", limits={"max_rejected": 0.5})
    run = load_run(plan_run(dataset, RunParams(), DAY, own), own.lake)
    new = moved("move", path_of(own.lake))
    here = dataclasses.replace(run.layout, lake=new.lake)
    storage.write(here.known_files, storage.read(here.known_files)[:-3])
    assert main(["relocate-lake", "--apply"]) == 0
    assert read.table(new, "photos").num_rows == 4
    with pytest.raises(AuditFailed, match=rf"^{re.escape(here.known_files)}: "):
        local.run_steps(load_run(here.run_file, new.lake), THIS_PROCESS)


def test_an_older_snapshot_whose_files_are_gone_stays_behind_and_that_is_said(
    original: Settings, moved: Moved, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tables.open_catalog(original).load_table("features.photos").snapshots()[0]
    new = moved("copy")
    path_of(first.manifest_list.replace(original.lake, new.lake)).unlink()
    assert main(["relocate-lake", "--apply"]) == 0
    assert "  1 older snapshots stay behind: files of theirs are not here" in capsys.readouterr().out.splitlines()
    kept = tables.open_catalog(new).load_table("features.photos").snapshots()
    assert len(kept) == 3
    assert first.snapshot_id not in {snapshot.snapshot_id for snapshot in kept}
    assert read.table(new, "photos").num_rows == 4


@pytest.mark.long
def test_a_lake_goes_to_a_store_and_from_there_to_another_folder_of_it(
    original: Settings, two_days: Path, tmp_path: Path, aws_env: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("_real_stores")("minio").address)
    before, old = rows(original), path_of(original.lake)
    shutil.copy(old / "catalog.db", tmp_path / "catalog.db")
    aws_env.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    for file in (path for path in old.rglob("*") if path.is_file()):
        storage.write(f"s3://{BUCKET}/first/{file.relative_to(old)}", file.read_bytes())
    aws_env.setenv("IMAGEFEATURES_LAKE", f"s3://{BUCKET}/first")
    assert main(["relocate-lake", "--apply"]) == 0
    assert rows(Settings.from_env()) == before
    for stored in list(storage.list_objects(f"s3://{BUCKET}/first")):
        storage.write(stored.uri.replace("/first/", "/second/"), storage.read(stored.uri))
    storage.delete_folder(f"s3://{BUCKET}/first")
    aws_env.setenv("IMAGEFEATURES_LAKE", f"s3://{BUCKET}/second")
    second = Settings.from_env()
    with pytest.raises(CatalogRefused, match=f"lies in s3://{BUCKET}/first/warehouse/features/"):
        read.runs(second)
    assert main(["relocate-lake", "--apply"]) == 0
    assert rows(second) == before
    outcome = published(second, two_days)
    assert (outcome.row["registered"], outcome.row["reused"]) == (2, 2)
    assert main(["repair"]) == 0


@pytest.mark.long
def test_a_postgresql_catalog_goes_with_a_lake_that_moves(
    original: Settings,
    two_days: Path,
    make_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = dataclasses.replace(original, lake=f"file://{tmp_path}/a", catalog=make_database("secret"))
    published(lake, two_days)
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/b")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", lake.catalog)
    assert main(["relocate-lake", "--apply"]) == 0
    assert read.table(Settings.from_env(), "photos").num_rows == 2
    assert published(Settings.from_env(), two_days).row["reused"] == 2


def test_a_folder_that_is_reached_by_two_names_is_relocated_and_read_by_the_new_one(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(path_of(own.lake))
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/link")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/link/catalog.db")
    new = Settings.from_env()
    assert main(["relocate-lake", "--apply"]) == 0
    assert read.table(new, "photos").num_rows == 4


@pytest.mark.parametrize("inner", ["new", "old"])
def test_one_place_may_lie_in_the_other(
    original: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    before, lake, copy = rows(original), tmp_path / "lake", tmp_path / "lake" / "copy"
    places = (lake, copy) if inner == "new" else (copy, lake)
    for source, place in ((path_of(original.lake), places[0]), places):
        shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("copy"))
        monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{place}")
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{place}/catalog.db")
        assert main(["relocate-lake", "--apply"]) == 0
    shutil.rmtree(places[0] / "warehouse")
    assert rows(Settings.from_env()) == before


def test_what_stays_of_a_broken_staging_folder_stops_nothing(original: Settings, moved: Moved) -> None:
    new = moved("copy")
    folder = path_of(new.lake) / "staging" / "photos" / DAY / "20261103T000000-0a1b2c3d"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"lake": "x"})[:-3])
    assert main(["relocate-lake", "--apply"]) == 0
    assert read.table(new, "photos").num_rows == 4


def test_an_old_place_must_be_named_whole() -> None:
    from imagefeatures.catalog.relocation import Move

    move = Move("file:///data/lake", "s3://b/lake")
    assert move("file:///data/lake/a b.parquet") == "s3://b/lake/a b.parquet"
    assert move("file:/data/lake/a") == "s3://b/lake/a"  # as Spark writes it
    assert move("file:///data/lake2/a") == "file:///data/lake2/a"
