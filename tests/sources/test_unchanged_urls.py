"""A second run over URLs: what has not changed costs no bytes, and has the vector that the table had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures import local, manifest, read, shards, steps
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import ingest, register, unchanged
from imagefeatures.workers import ThisProcess, Workers
from imagefeatures_spark import ingest as ingest_job
from support import several
from support.disturbed_work import Forbidden
from support.doors import parquet
from support.hostile_http import Request, Site, response, site
from support.lists_as_spark import Context
from support.photos import jpeg
from support.several import FIRST, SECOND, Spies
from support.shared import MODEL, SPEC, THIS_PROCESS, MakeRun

COUNT = 12
NOTHING = ThisProcess(StepRunner(Forbidden()))
"""Work that may compute no vector."""

MARKS = ('"strong %d"', 'W/"weak %d"', "Sun, 01 Nov 2026 08:00:%02d GMT")


class Photos:
    """A host that has versions of photos, and answers conditions. sent: the bytes of bodies, of all requests."""

    def __init__(self) -> None:
        self.photos = {f"/{n}.jpg": (jpeg(n, 64, 40 + n), MARKS[n % 3] % n) for n in range(COUNT)}
        self.sent = 0
        self.conditions: dict[str, str | None] = {}

    def __call__(self, request: Request) -> bytes:
        body, mark = self.photos[request.target]
        header, condition = ("ETag", "if-none-match") if '"' in mark else ("Last-Modified", "if-modified-since")
        self.conditions[request.target] = request.headers.get(condition)
        if self.conditions[request.target] == mark:
            return response(304, headers={header: mark, "Content-Length": ""})
        self.sent += len(body)
        return response(body=body, headers={header: mark})

    def again(self) -> None:
        self.sent, self.conditions = 0, {}


@pytest.fixture
def photos() -> Photos:
    return Photos()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, photos: Photos) -> Iterator[Site]:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    with site("127.0.0.1", dict.fromkeys([*photos.photos, *(f"/{n}.jpg" for n in range(90, 99))], photos)) as made:
        yield made


@pytest.fixture
def planned(make_run: MakeRun, tmp_path: Path, host: Site) -> Iterator[object]:
    def plan(names: list[str] | None = None, **fields: object) -> Run:
        targets = names or [f"/{n}.jpg" for n in range(COUNT)]
        keys = [f"key {run_number[0]} {target}" for target in targets]
        run_number[0] += 1
        (tmp_path / "t.parquet").write_bytes(parquet({"id": keys, "photo": list(map(host.url, targets))}))
        source = {"kind": "url_table", "table": f"file://{tmp_path}/t.parquet", "url": "photo", "key": "id"}
        source |= {"http": {"requests_per_second": None}}
        given = {"label": "none", "limits": {"max_rejected": 1}} | fields
        return make_run(source, {"shard_images": 4} | given.pop("params", {}), **given)

    run_number = [1]
    yield plan


def published(run: Run, settings: Settings, work: Workers = THIS_PROCESS) -> dict[str, object]:
    local.run_steps(run, work)
    return register.register(run.layout.run_file, settings).summary


def rows_of(settings: Settings, table: str = "photos") -> dict[str, dict[str, object]]:
    return {"/" + row["uri"].rsplit("/", 1)[1]: row for row in read.table(settings, table).to_pylist()}


def test_a_second_run_over_unchanged_urls_costs_no_bytes_and_reuses_all(
    planned, photos: Photos, settings: Settings
) -> None:
    published(planned(), settings)
    before = rows_of(settings)
    assert photos.sent == sum(len(body) for body, _ in photos.photos.values())
    for _ in range(2):  # a third run asks about rows that came from a 304
        photos.again()
        run = planned()
        summary = published(run, settings, NOTHING)
        assert photos.sent == 0
        assert photos.conditions == {target: mark for target, (_, mark) in photos.photos.items()}
        assert (summary["listed"], summary["registered"], summary["reused"], summary["computed"]) == (12, 12, 12, 0)
        after = rows_of(settings)
        assert {row["run_id"] for row in after.values()} == {run.run_id}
        assert after["/3.jpg"]["key"] == before["/3.jpg"]["key"].replace("key 1", f"key {run_number(after)}")
        changing = ("run_id", "key")
        assert [{k: v for k, v in after[name].items() if k not in changing} for name in sorted(after)] == [
            {k: v for k, v in before[name].items() if k not in changing} for name in sorted(before)
        ]
    (row,) = read.table(settings, "runs").to_pylist()
    assert (row["reused"], row["ingest_images"], row["featurize_images"]) == (12, 12, 12)


def test_pixels_are_reused_with_the_vectors_or_fetched_where_they_are_not_there(
    planned, photos: Photos, settings: Settings
) -> None:
    published(planned(), settings)
    photos.again()
    published(planned(pixels="keep"), settings, NOTHING)
    assert photos.sent == sum(len(body) for body, _ in photos.photos.values())  # the table of pixels had none
    before = read.table(settings, "photos", what="pixels")
    photos.again()
    summary = published(planned(pixels="keep"), settings, NOTHING)
    assert (photos.sent, summary["reused"]) == (0, COUNT)
    after = read.table(settings, "photos", what="pixels")
    changing = ["run_id", "key"]
    assert after.drop_columns(changing).equals(before.drop_columns(changing))
    assert after.num_rows == COUNT


@pytest.mark.long
def test_copies_of_what_has_not_changed_are_reused_and_ones_that_are_not_there_are_fetched_for(
    planned, photos: Photos, settings: Settings
) -> None:
    end = {"resize": {"size": [224, 224]}}
    published(planned(), settings)
    for copies, fetched in ((1, True), (1, False), (2, True), (2, False), (1, False)):
        photos.again()
        before = {(row["uri"], row["copy"]): row["features"] for row in read.table(settings, "photos").to_pylist()}
        augment = {"augment": {"copies": copies, "crop": 0.6}}
        work = THIS_PROCESS if fetched else NOTHING
        summary = published(planned(preprocess=[augment, end]), settings, work)
        assert (summary["reused"], photos.sent > 0) == (COUNT, fetched)
        after = {(row["uri"], row["copy"]): row["features"] for row in read.table(settings, "photos").to_pylist()}
        assert len(after) == (1 + copies) * COUNT
        assert all(after[key] == before[key] for key in after.keys() & before.keys())


def run_number(rows: dict[str, dict[str, object]]) -> str:
    return str(rows["/3.jpg"]["key"]).split()[1]


def test_what_has_changed_or_is_new_is_fetched_and_nothing_else(planned, photos: Photos, settings: Settings) -> None:
    published(planned(), settings)
    before = rows_of(settings)
    changed = {
        "/0.jpg": (jpeg(30), '"other"'),
        "/1.jpg": (jpeg(31), 'W/"other"'),
        "/2.jpg": (jpeg(32), "Mon, 02 Nov 2026 08:00:00 GMT"),
        "/3.jpg": (photos.photos["/3.jpg"][0], '"the same bytes"'),
        "/90.jpg": (jpeg(33), '"new"'),
    }
    photos.photos |= changed
    photos.again()
    summary = published(planned([f"/{n}.jpg" for n in (*range(COUNT), 90)]), settings)
    assert photos.sent == sum(len(body) for body, _ in changed.values())
    assert (summary["registered"], summary["reused"], summary["computed"]) == (13, 9, 4)
    after = rows_of(settings)
    differ = {name for name in after if after[name]["image_id"] != before.get(name, {}).get("image_id")}
    assert differ == changed.keys() - {"/3.jpg"}
    assert {name: after[name]["etag"] for name in changed} == {name: mark for name, (_, mark) in changed.items()}


def test_a_url_is_asked_whether_it_has_changed_once_all_models_have_its_vector(
    planned, photos: Photos, settings: Settings
) -> None:
    several.know_weights(settings.lake, [SECOND])
    both = {"models": [FIRST, SECOND]}
    published(planned(), settings)  # the first model alone
    photos.again()
    spies = Spies()
    published(planned(**both), settings, ThisProcess(spies.work))
    assert set(photos.conditions.values()) == {None}
    assert spies.computed == {SECOND: COUNT}
    before = [rows_of(settings, table) for table in ("photos", f"photos__{SECOND}")]
    photos.again()
    photos.photos["/0.jpg"] = (jpeg(30), '"other"')
    spies = Spies()
    summary = published(planned(**both), settings, ThisProcess(spies.work))
    assert photos.sent == len(jpeg(30))
    assert (spies.decoded, spies.computed) == (1, {FIRST: 1, SECOND: 1})
    assert summary["models"][SECOND]["reused"] == summary["reused"] == COUNT - 1
    after = [rows_of(settings, table) for table in ("photos", f"photos__{SECOND}")]
    for then, now in zip(before, after, strict=True):
        assert {name for name in now if now[name]["features"] != then[name]["features"]} == {"/0.jpg"}


@pytest.mark.long
def test_what_was_quarantined_is_asked_for_in_full(planned, photos: Photos, settings: Settings) -> None:
    good, mark = photos.photos["/3.jpg"]
    photos.photos["/3.jpg"] = (good[:-20], mark)
    assert published(planned(), settings)["reasons"] == {"TRUNCATED": 1}
    photos.again()
    assert published(planned(), settings)["reasons"] == {"TRUNCATED": 1}
    assert (photos.conditions["/3.jpg"], photos.sent) == (None, len(good) - 20)
    photos.photos["/3.jpg"] = (good, mark)  # mended, under the same version
    photos.again()
    summary = published(planned(), settings)
    assert (summary["registered"], summary["reused"], photos.sent) == (12, 11, len(good))


@pytest.mark.long
@pytest.mark.parametrize("why", ["fingerprint", "reuse", "pixels", "bytes", "file"])
def test_without_a_vector_to_take_there_is_no_condition(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    with monkeypatch.context() as patch:
        if why == "fingerprint":
            patch.setitem(BACKBONES, MODEL, SPEC.model_copy(update={"cut": "somewhere else"}))
        published(planned(), settings)
    photos.again()
    limits = {"max_rejected": 1} | {"pixels": {"max_pixels": 10}, "bytes": {"max_bytes": 10}}.get(why, {})
    run = planned(params={"reuse": False} if why == "reuse" else {}, limits=limits)
    if why == "file":
        for file in read.files(settings, "photos"):
            Path(file.removeprefix("file://")).write_bytes(b"damaged")
    local.run_steps(run, THIS_PROCESS, (steps.INGEST, steps.VALIDATE))
    assert set(photos.conditions.values()) == {None}
    receipts = shards.read_receipts(run.layout, steps.VALIDATE)
    assert sum(receipt.passed for receipt in receipts) == (0 if why in ("pixels", "bytes") else COUNT)


@pytest.mark.long
def test_a_row_whose_vector_is_invalid_is_asked_for_in_full(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(planned(), settings)
    valid_rows = unchanged.reuse.valid_rows
    monkeypatch.setattr(
        unchanged.reuse,
        "valid_rows",
        lambda run, table: valid_rows(run, table).filter([n > 0 for n in range(len(table))]),
    )
    photos.again()
    run = planned()
    local.run_steps(run, THIS_PROCESS, (steps.INGEST,))
    assert list(photos.conditions.values()).count(None) == 3  # the first of each shard


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


def test_spark_finds_the_same_versions(planned, photos: Photos, settings: Settings) -> None:
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


def test_a_folder_asks_for_no_versions(make_run: MakeRun, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(jpeg(1))
    for _ in range(2):
        run = make_run(tmp_path / "photos")
        published(run, settings)
        assert unchanged.files(run) == []
