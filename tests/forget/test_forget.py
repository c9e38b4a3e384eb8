"""What is forgotten is in no byte of the lake any more; all else is as it was, and no run brings it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import layout, read, storage
from imagefeatures.catalog import purge, records, tables
from imagefeatures.errors import AuditFailed, ParamsError
from imagefeatures.forget import deny, pending, places, work
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.forgetting import DATASETS, DAYS, Planted, Template, check_forgotten, request, template_in


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """Five images in a lake that takes long to make, and is copied for each test."""
    folder = tmp_path_factory.mktemp("forget")
    with pytest.MonkeyPatch.context() as patch:
        yield template_in(folder, patch, 5, 2)


@pytest.fixture
def place(template: Template) -> Planted:
    return template.restored()


@pytest.mark.long
def test_nothing_of_the_images_is_left_and_the_next_runs_reject_them(place: Planted) -> None:
    settings, before, needles = place.settings, place.rows(), place.needles()
    of_urls = f"{layout.known(settings.lake, 'urls', 'birds')}/segment.bin"
    storage.write(of_urls, b"".join(needle for what, needle in needles.items() if what.startswith("index")))
    there = place.found(needles)
    folders = {line.partition("/")[0] for line in there}
    assert folders == {"warehouse", "staging", "quarantine", "exports", "known"}
    (dry,) = work.forget(request(place.targets, dry_run=True), "ada", settings)
    assert place.found(needles) == there
    assert next(dry.lines()).startswith("would be forgotten, request ")
    said = "\n".join(dry.lines())
    assert said.count("an unfinished run, which cannot go on then: start a new one") == len(dry.runs) == 1
    assert said.count(": a kept reject") == len(dry.rejects) > 0
    (report,) = work.forget(request(place.targets), "ada", settings)
    check_forgotten(place, before, needles)
    assert report.tables == dry.tables == {
        "features.birds", "features.birds_pixels", "features.fruit", "features.fruit_pixels", "features.quarantine",
        "learning.fruit_predictions",
    }  # fmt: skip
    assert (report.runs, report.rejects) == (dry.runs, dry.rejects)
    # 4 in vectors and pixels, 1 in the quarantine, of two datasets; two of them again in files that were replaced.
    assert report.runs_removed == 1
    assert {Path(export).name for export in report.exports} == {
        "birds.npy", "birds.parquet", "birds.arrow", "birds.npz",
    }  # fmt: skip
    assert {Path(uri).name for uri in report.foreign} == {"notes.txt"}  # which is somebody's own
    assert len(report.sources) == 10
    (row,) = read.table(settings, "forgotten").to_pylist()
    assert {name: row[name] for name in report.counts} == report.counts
    assert (row["run_id"], row["asked_by"], row["why"]) == (report.run_id, "ada", "asked to")
    assert len(row["hashes"]) == len(place.targets)
    assert not {*row["hashes"]} & place.targets.keys()
    assert list(pending.all_of(settings.lake)) == []
    with tables.open_catalog(settings) as catalog:
        assert "first-days" not in catalog.load_table(("features", "birds")).refs()
    for name in DATASETS:
        for day in DAYS:
            place.publish(name, day)
    assert place.found(needles) == []
    forgotten = [row for row in place.rows()["quarantine"].values() if row["reason"] == "FORGOTTEN"]
    assert len(forgotten) == 2 * len(place.targets)
    assert {row[name] for row in forgotten for name in ("image_id", "size", "etag", "label", "key")} == {None}
    assert sum(dict(run["reasons"]).get("FORGOTTEN", 0) for run in read.runs(settings)) == len(forgotten)
    (again,) = work.forget(request(place.targets), "ada", settings)
    assert (again.rows, again.files_deleted, again.tables) == (0, 0, set())


@pytest.mark.long
@pytest.mark.parametrize(
    "stop",
    [
        (deny, "add"), (places, "exports"), (places, "kept_rejects"), (purge, "purge"), (purge, "_swap"),
        (purge.retention, "remove_expired"), (purge, "recount"), (records, "keep"), (pending, "done"),
    ],
    ids=lambda stop: stop[1],
)  # fmt: skip
def test_one_that_is_interrupted_is_finished_by_the_next(
    place: Planted, monkeypatch: pytest.MonkeyPatch, stop: tuple[Any, str]
) -> None:
    module, name = stop
    before, needles = place.rows(), place.needles()
    real = getattr(module, name)
    calls = []

    def once(*given: Any) -> Any:
        calls.append(name)
        if name in ("purge", "_swap", "remove_expired") and len(calls) < 2:
            return real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, name, once)
        work.forget(request(place.targets), "ada", place.settings)
    assert len(list(pending.all_of(place.settings.lake))) == 1
    other = "f" * 64  # whoever comes next, whatever is asked for
    first, second = work.forget(request([other]), "grace", place.settings)
    check_forgotten(place, before, needles)
    assert (first.images, second.images) == (len(place.targets), 1)
    told = read.table(place.settings, "forgotten").sort_by("requested_at").to_pylist()
    assert [row["asked_by"] for row in told] == ["ada", "grace"]


@pytest.mark.long
def test_a_uri_stands_for_the_images_that_it_was_and_for_itself(place: Planted) -> None:
    settings, before, needles = place.settings, place.rows(), place.needles()
    uris = [row["uri"] for row in place.rows()["birds"].values() if row["image_id"] in place.targets]
    uris += [row["uri"] for row in place.rows()["quarantine"].values() if row["dataset"] == "birds"]
    work.forget(request([], image_ids=None, uris=uris), "ada", settings)
    check_forgotten(place, before, needles)  # in the other dataset they have other names
    denied = deny.read(settings.lake)
    assert all(denied.has_uri(uri) for uri in uris)
    assert all(denied.has_image(image_id) for image_id in place.targets)


@pytest.mark.long
def test_a_run_that_had_fetched_it_before_is_not_published(place: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    run = place.ready("birds", DAYS[1], shard_images=5)
    with monkeypatch.context() as patched:  # as if its shard were written a moment after the search
        patched.setattr(places, "unfinished_runs", lambda *_: [])
        patched.setattr(places, "kept_rejects", lambda *_: [])
        patched.setattr(purge, "find", lambda *_: purge.Found())
        work.forget(request(place.targets), "ada", place.settings)
    kept = f"quarantine/birds/{DAYS[1]}/"
    assert any(run.run_id in name and name.startswith("warehouse/") for name, _ in place.stored())
    assert any(name.startswith(kept) for name, _ in place.stored())
    with pytest.raises(AuditFailed, match="holds an image that was forgotten after its fetch; start a new run"):
        register.register(run.layout.run_file, place.settings)
    assert [name for name, _ in place.stored() if run.run_id in name or name.startswith(kept)] == []


@pytest.mark.long
def test_the_files_of_a_dropped_table_are_named(place: Planted) -> None:
    settings, needles = place.settings, place.needles()
    with tables.open_catalog(settings) as catalog:
        catalog.drop_table(("features", "birds_pixels"))  # which leaves its files
    (report,) = work.forget(request(place.targets), "ada", settings)
    left = {line.partition(": ")[0] for line in place.found(needles)}
    assert {name.rpartition("/data/")[0] for name in left} == {"warehouse/features/birds_pixels"}
    warehouse = f"{settings.lake}/warehouse/"
    assert {f"{settings.lake}/{name}" for name in left} == {uri for uri in report.foreign if uri.startswith(warehouse)}
    assert report.unreadable == set()
    assert "features.birds_pixels" not in report.tables


def test_what_killed_processes_had_begun_to_write_goes_too_however_young(settings: Settings) -> None:
    lake = Path(settings.lake.removeprefix("file://"))
    folders = ("staging/birds/d/r/ingest", "quarantine/birds/d/CORRUPT", "forgotten/pending", "forgotten/list")
    begun = [lake / folder / f".draft-{7:016x}" for folder in folders]
    for path in begun:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"bytes of an image")
    work.forget(request(["f" * 64], dry_run=True), "ada", settings)
    assert [path.exists() for path in begun] == [True] * 4
    assert not deny.read(settings.lake)  # what nobody has written to its end is no list
    (report,) = work.forget(request(["f" * 64]), "ada", settings)
    assert [path.exists() for path in begun] == [False] * 4
    assert report.unreadable == set()


def test_what_another_process_writes_meanwhile_is_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def meanwhile(draft: Path, target: Path) -> None:
        if str(target).endswith("/new"):
            work.forget(request(["f" * 64]), "ada", settings)
        real(draft, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    uri = f"{settings.lake}/staging/birds/d/r/new"
    storage.write(uri, b"bytes of an image")
    assert storage.read(uri) == b"bytes of an image"
    assert read.table(settings, "forgotten").num_rows == 1


def test_what_names_no_image_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(ParamsError, match=r"^image_ids: name an image by its id or by its URI$"):
        work.forget(request([], image_ids=None), "ada", settings)
    with pytest.raises(ParamsError, match=r"^image_ids: 'cafe' is no SHA-256 of 64 hexadecimal digits"):
        request(["cafe"])
    assert not Path(settings.lake.removeprefix("file://"), "forgotten").exists()
