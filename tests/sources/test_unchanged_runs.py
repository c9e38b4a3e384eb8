"""Unchanged URLs in runs that are interrupted, in duplicates, other partitions, by Spark, and in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagefeatures import local, manifest, read, steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, ingest, register, unchanged
from imagefeatures_spark import ingest as ingest_job
from support.hostile_http import site
from support.lists_as_spark import Context
from support.photos import jpeg
from support.shared import MakeRun
from support.versioned_photos import NOTHING, Photos, planner, published, rows_of


@pytest.fixture
def photos() -> Photos:
    return Photos()


@pytest.fixture
def planned(
    make_run: MakeRun, tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Run]]:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    with site("127.0.0.1", dict.fromkeys([*photos.photos, *(f"/{n}.jpg" for n in range(90, 99))], photos)) as host:
        yield planner(make_run, tmp_path, host)


def test_an_interrupted_run_goes_on_whatever_has_become_of_the_table(
    planned, photos: Photos, settings: Settings
) -> None:
    published(planned(), settings)
    run = planned()
    photos.again()
    listing = manifest.list_source(run, 1)
    local.find_unchanged(run, listing)
    ingest.run_shard(run, 0)
    done = set(photos.conditions)
    assert len(done) == 4
    photos.photos |= {target: (jpeg(50), '"late"') for target in done}  # of no interest to a shard that is done
    published_files = read.files(settings, "photos")
    photos.again()
    local.run_steps(run, NOTHING, (steps.INGEST,))
    assert (photos.conditions.keys(), photos.sent) == (photos.photos.keys() - done, 0)
    for file in published_files:
        Path(file.removeprefix("file://")).unlink()
    local.run_steps(run, NOTHING)
    summary = register.register(run.layout.run_file, settings).summary
    assert (summary["registered"], summary["reused"], summary["quarantined"]) == (12, 12, 0)


@pytest.mark.long
@pytest.mark.parametrize("first", ["reject", "keep"])
def test_a_duplicate_of_an_unchanged_image_is_one(planned, photos: Photos, settings: Settings, first: str) -> None:
    photos.photos["/9.jpg"] = (photos.photos["/3.jpg"][0], '"twin"')
    published(planned(duplicates=first), settings)
    photos.again()
    summary = published(planned(duplicates="reject"), settings, NOTHING)
    assert (summary["registered"], summary["reused"], summary["reasons"]) == (11, 11, {"DUPLICATE": 1})
    assert set(rows_of(settings, "quarantine")) == {"/9.jpg"}
    assert photos.conditions["/9.jpg"] == (None if first == "reject" else '"twin"')


@pytest.mark.long
def test_the_row_of_the_last_run_counts_among_partitions(planned, photos: Photos, settings: Settings) -> None:
    published(planned(partition="2026-11-02"), settings)
    photos.photos["/0.jpg"] = (jpeg(40), '"second"')
    published(planned(partition="2026-11-03"), settings)
    photos.again()
    summary = published(planned(partition="2026-11-01"), settings, NOTHING)
    assert (summary["reused"], photos.sent, photos.conditions["/0.jpg"]) == (12, 0, '"second"')


def known_etags(run: Run, shard: int) -> dict[str, str | None]:
    found = unchanged.known_versions(run, shard)
    return {uri: found.etag(uri) for uri in found.rows}


@pytest.mark.parametrize("few", [0, 100], ids=["by the index", "in all files"])
def test_spark_finds_the_same_versions(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(file_index, "FEW", few)
    published(planned(), settings)
    names = [f"/{n}.jpg" for n in (*range(5), 90, 91)]
    photos.photos |= {"/90.jpg": (jpeg(1), '"x"'), "/91.jpg": (jpeg(2), '"y"')}
    runs = [planned(names), planned(names)]
    for run in runs:
        manifest.list_source(run, 2)
    local.find_unchanged(runs[0], manifest.read_listing(runs[0]))
    photos.again()
    context = Context()
    ingest_job.work(context, runs[1])
    assert photos.sent == sum(len(photos.photos[name][0]) for name in ("/90.jpg", "/91.jpg"))
    count = manifest.read_listing(runs[0]).shards
    by_local, by_spark = ([known_etags(run, shard) for shard in range(count)] for run in runs)
    assert by_local == by_spark
    assert sum(map(len, by_local)) == 5
    joined = len(context.parallelized)
    ingest_job.work(context, runs[1])
    assert len(context.parallelized) == joined  # nothing is left, so nothing is joined


def test_spark_ends_the_search_where_the_table_has_none_of_the_urls(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "FEW", 0)
    published(planned(), settings)
    photos.photos["/90.jpg"] = (jpeg(1), '"x"')
    run = planned(["/90.jpg"])
    ingest_job.work(Context(), run)
    assert unchanged.search(run).has_ended()
    assert known_etags(run, 0) == {}


def test_a_folder_asks_for_no_versions(make_run: MakeRun, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(jpeg(1))
    for _ in range(2):
        run = make_run(tmp_path / "photos")
        published(run, settings)
        assert unchanged.files(run) == []
