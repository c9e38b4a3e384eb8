"""Every object that a DAG run has rejected, as a download: while it runs, after it has failed, once it is published."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures import local, rejections
from imagefeatures.datasets import Dataset
from imagefeatures.errors import StoreError, TooManyRejected
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps.register import register
from support.doors import DOORS
from support.photos import fill, jpeg
from support.shared import PARTITION, THIS_PROCESS
from support.web import PAGE, Site, dag_run_is, return_from_plan

BAD = 25


@pytest.fixture
def dataset(settings: Settings, tmp_path: Path) -> Dataset:
    files = {f"{number:02d}.jpg": b"no picture" for number in range(BAD)}
    folder = fill(tmp_path / "photos" / PARTITION, files | {"<img onerror=x>.jpg": b"", "good.jpg": jpeg(1)})
    source = f"file://{folder.parent}/{{partition}}/"
    (settings.datasets / "wrecks.yaml").write_text(f"name: wrecks\nsource: {source}\n")
    return Dataset(name="wrecks", source=source)


def planned(dataset: Dataset, settings: Settings, dag_run: str, **params: float) -> Run:
    run = load_run(plan_run(dataset, RunParams.parse(params), PARTITION, settings))
    return_from_plan("features_wrecks", dag_run, run.layout.run_file)
    return run


def download(site: Site, path: str, run: Run) -> list[dict[str, str]]:
    answer = site.get(f"{PAGE}{path}/rejected.csv", Cookie=f"_token={site.login}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="rejected-{run.run_id}.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_failed_run_and_a_published_one(
    site: Site, settings: Settings, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import downloads, published

    monkeypatch.setattr(downloads, "ROWS", 10)  # in parts
    path = "/dags/features_wrecks/runs/manual__failed"
    run = planned(dataset, settings, "manual__failed", shard_images=5)
    assert download(site, path, run) == []
    with pytest.raises(TooManyRejected):
        local.run_steps(run, THIS_PROCESS)
    rows = download(site, path, run)
    assert len(rows) == BAD + 1
    assert list(rows[0]) == list(rejections.COLUMNS)
    assert f"{run.source}<img onerror=x>.jpg" in {row["uri"] for row in rows}
    links = [value for _, name, value in site.page(path).attributes if name == "href"]
    assert f"{PAGE}{path}/rejected.csv" in links
    accepted = planned(dataset, settings, "manual__accepted", max_rejected=1)
    local.run_steps(accepted, THIS_PROCESS)
    register(accepted.layout.run_file, settings)
    assert len(download(site, "/dags/features_wrecks/runs/manual__accepted", accepted)) == BAD + 1
    assert len(download(site, f"/datasets/wrecks/partitions/{PARTITION}", accepted)) == BAD + 1
    assert len(download(site, path, run)) == BAD + 1  # the failed run's own, still
    links = [
        value for _, name, value in site.page(f"/datasets/wrecks/partitions/{PARTITION}").attributes if name == "href"
    ]
    assert f"{PAGE}/datasets/wrecks/partitions/{PARTITION}/rejected.csv" in links
    assert "Rejected so far" in site.page(path).text
    later = planned(dataset, settings, "manual__later", max_rejected=1)
    local.run_steps(later, THIS_PROCESS)
    register(later.layout.run_file, settings)
    monkeypatch.setattr(published, "FRESH_SECONDS", 0.0)
    dag_run_is("features_wrecks", "manual__accepted", "success", register="success")
    path = "/dags/features_wrecks/runs/manual__accepted"
    page = site.page(path)
    assert "Listed not known any more" in page.text and "Nothing was rejected" not in page.text
    assert f"{PAGE}{path}/rejected.csv" not in [value for _, name, value in page.attributes if name == "href"]
    gone = site.page(f"{path}/rejected.csv", 404)
    assert f"What the run {accepted.run_id} has rejected is not kept any more" in gone.text


def test_who_may_not_see_the_run_gets_none(site: Site, settings: Settings, dataset: Dataset) -> None:
    planned(dataset, settings, "manual__hidden")
    path = f"{PAGE}/dags/features_wrecks/runs/manual__hidden/rejected.csv"
    assert site.get(path).status_code == 401
    assert site.get(f"{PAGE}/datasets/wrecks/partitions/{PARTITION}/rejected.csv").status_code == 401
    cookie = f"_token={site.login}"
    assert site.get(f"{PAGE}/dags/features_other/runs/x/rejected.csv", Cookie=cookie).status_code == 404
    assert site.get(f"{PAGE}/dags/features_wrecks/runs/unplanned/rejected.csv", Cookie=cookie).status_code == 404
    assert site.get(f"{PAGE}/datasets/wrecks/partitions/2020-01-01/rejected.csv", Cookie=cookie).status_code == 404


def test_a_lost_file_is_said_and_is_no_empty_table(site: Site, settings: Settings, dataset: Dataset) -> None:
    run = planned(dataset, settings, "manual__lost")
    with pytest.raises(TooManyRejected):
        local.run_steps(run, THIS_PROCESS)
    for file in Path(run.layout.run.removeprefix("file://")).rglob("*-rejected.parquet"):
        file.unlink()
    answer = site.get(f"{PAGE}/dags/features_wrecks/runs/manual__lost/rejected.csv", Cookie=f"_token={site.login}")
    assert answer.status_code == 503
    assert "it was written, and is gone" in answer.text


def test_where_a_store_is_and_what_it_says_is_for_those_who_may_read_the_log(
    site: Site, settings: Settings, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = planned(dataset, settings, "manual__away", max_rejected=1)
    local.run_steps(run, THIS_PROCESS)

    def away(*_: object) -> Iterator[rejections.Row]:
        raise StoreError("s3://secret-bucket/: no answer from host.example")
        yield

    monkeypatch.setattr(rejections, "_staged_rows", away)
    path = f"{PAGE}/dags/features_wrecks/runs/manual__away/rejected.csv"
    answer = site.get(path, Cookie=f"_token={site.login}")
    assert answer.status_code == 503
    assert "The rejected objects cannot be read now (StoreError)." in answer.text
    assert "secret-bucket" not in answer.text and "host.example" not in answer.text
    assert f"rejected-{run.run_id}.csv: the rejected objects cannot be read: s3://secret-bucket/" in caplog.text


@pytest.mark.parametrize("name", ["uri_list_of_lines", "table_of_parquet", "parquet_of_bytes", "tar_shards"])
def test_a_run_over_a_source_of_any_kind_is_shown_and_its_rejected_objects_are_named(
    site: Site, settings: Settings, tmp_path: Path, name: str
) -> None:
    door = DOORS[name](f"file://{tmp_path}/in here")
    fields = {"name": "wrecks", "source": door.source, "limits": {"max_rejected": 0.5}}
    (settings.datasets / "wrecks.yaml").write_text(json.dumps(fields))
    run = planned(Dataset.model_validate(fields), settings, f"manual__{name}")
    local.run_steps(run, THIS_PROCESS)
    register(run.layout.run_file, settings)
    place = door.source.get("uri") or door.source["table"]
    assert f"From {place} by the DAG features_wrecks" in site.page("/datasets/wrecks").text
    partition = site.page(f"/datasets/wrecks/partitions/{PARTITION}").text
    assert f"Registered {len(door.good)} " in partition
    assert all(f"{cause} {count}" in partition for cause, count in door.passed.items())
    rows = download(site, f"/datasets/wrecks/partitions/{PARTITION}", run)
    assert {row["uri"]: row["reason"] for row in rows} == door.rejected
