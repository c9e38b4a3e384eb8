"""One request: what is found and removed of each kind, what is written down, and when it has to be tried again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import names, read, schemas, sealed, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import AuditFailed, CatalogRefused, StoreError
from imagefeatures.forget import deny, pending, places, work
from imagefeatures.forget.pending import Pending
from imagefeatures.forget.report import Report
from imagefeatures.settings import Settings
from imagefeatures.thumbnails.folder import ThumbnailFolder
from support.forgetting import request
from support.growing import rejected_row
from support.measured import clouds, publish
from support.publishing import delete_rows

DAY = "2026-11-02"
PERSON, OTHER = (hashlib.sha256(name).hexdigest() for name in (b"a person", b"another"))
RUN = "20261001T000000-0a1b2c3d"


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.fixture
def lake(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A partition of two pictures, the first of the person, who is in the quarantine as well."""
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    settings = Settings.from_env()
    given = {"quarantined": 1, "reasons": [("CORRUPT", 1)]}
    run_id = publish(settings, DAY, clouds(0, 2), ids=[PERSON, OTHER], **given)
    row = rejected_row("photos", run_id)
    row = row.set_column(row.schema.get_field_index("image_id"), row.schema.field("image_id"), pa.array([PERSON]))
    with tables.open_catalog(settings) as catalog:
        tables.replace_rows(tables.open_table(catalog, settings, names.QUARANTINE), DAY, "photos", row, run_id)
    return settings


def files(settings: Settings) -> dict[Path, bytes]:
    folder = Path(settings.lake.removeprefix("file://"))
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "catalog.db"}


def test_everything_that_holds_an_image_is_told_by_a_dry_run_and_goes(lake: Settings) -> None:
    written = {
        "exports/x.csv": PERSON.encode(), "exports/shards/export.json": json.dumps({"files": ["a.tar"]}).encode(),
        "exports/shards/a.tar": PERSON.encode(), f"quarantine/photos/{DAY}/CORRUPT/{PERSON}": b"bytes",
        f"staging/photos/{DAY}/{RUN}/ingest/0.parquet": parquet(image_id=[PERSON], uri=["s3://b/1"]),
        f"staging/photos/{DAY}/{RUN}/ingest/1.parquet": parquet(image_id=[OTHER], uri=["s3://b/2"]),
        f"maps/photos/{'0a' * 16}.parquet": b"damaged", "notes.txt": PERSON.encode(), "packed.gz": b"\x1f\x8b packed",
        "warehouse/features/mine/cut.parquet": b"PAR1 cut", "known/images/photos/segment.bin": b"keys",
        f"warehouse/features/mine/{DAY}.parquet": parquet(photo=[PERSON]),
    }  # fmt: skip
    for name, data in written.items():
        storage.write(f"{lake.lake}/{name}", data)
    thumbnails = ThumbnailFolder(lake.cache / "thumbnails")
    thumbnails.keep("photos", PERSON, b"jpeg")
    before = files(lake)
    (dry,) = work.forget(request([PERSON], dry_run=True), "ada", lake)
    assert files(lake) == before
    (report,) = work.forget(request([PERSON]), "ada", lake)
    for one in (dry, report):
        assert (one.images, one.uris, one.versioned) == (1, 0, None)
        assert one.tables == {"features.photos", "features.quarantine"}
        assert one.exports == {f"{lake.lake}/exports/x.csv", f"{lake.lake}/exports/shards/"}
        assert one.runs == {f"{lake.lake}/staging/photos/{DAY}/{RUN}"}
        assert one.rejects == {f"{lake.lake}/quarantine/photos/{DAY}/CORRUPT/{PERSON}"}
        assert one.maps == {f"{lake.lake}/maps/photos/{'0a' * 16}.parquet"}
        assert one.foreign == {f"{lake.lake}/notes.txt", f"{lake.lake}/warehouse/features/mine/{DAY}.parquet"}
        assert one.unreadable == {f"{lake.lake}/packed.gz", f"{lake.lake}/warehouse/features/mine/cut.parquet"}
        assert one.sources == {f"s3://b/{DAY}/0.JPG", "s3://b/1"}
    assert (dry.done, report.done) == (False, True)
    assert set(dry.counts.values()) == {0}
    counts = report.counts
    assert (counts["rows"], counts["runs_removed"], counts["files_rewritten"]) == (2, 1, 1)
    assert counts["snapshots_expired"] > 0
    # An export of one file and one of two, a kept reject, a map, a thumbnail; and the two data files.
    assert counts["files_deleted"] == 8
    left = {path.relative_to(lake.lake.removeprefix("file://")).as_posix() for path in files(lake)} & written.keys()
    assert left == {
        "notes.txt", "packed.gz", "warehouse/features/mine/cut.parquet", f"warehouse/features/mine/{DAY}.parquet",
    }  # fmt: skip
    assert thumbnails.read("photos", PERSON) is None
    (row,) = read.table(lake, "forgotten").to_pylist()
    assert {name: row[name] for name in counts} == counts
    assert (row["run_id"], row["asked_by"], row["why"], len(row["hashes"])) == (report.run_id, "ada", "asked to", 1)
    assert row["requested_at"] <= row["done_at"]
    (run,) = read.runs(lake, "photos")
    assert (run["listed"], run["registered"], run["quarantined"], run["reasons"]) == (1, 1, 0, [])
    assert deny.read(lake.lake).has_image(PERSON)
    assert list(pending.all_of(lake.lake)) == []


def test_a_uri_stands_for_its_image_wherever_that_is(lake: Settings) -> None:
    export = f"{lake.lake}/exports/ids.csv"
    storage.write(export, PERSON.encode())
    (report,) = work.forget(request([], image_ids=None, uris=[f"s3://b/{DAY}/0.JPG"]), "ada", lake)
    assert (report.images, report.uris, report.exports) == (1, 1, {export})
    denied = deny.read(lake.lake)
    assert denied.has_image(PERSON)
    assert denied.has_uri(f"s3://b/{DAY}/0.JPG")
    assert read.table(lake, "photos")["image_id"].to_pylist() == [OTHER]


def waiting(lake: str, image_ids: set[str], uris: set[str]) -> None:
    now = dt.datetime.now(dt.UTC)
    pending.keep(lake, Pending("20200101T000000-0a1b2c3d", frozenset(image_ids), frozenset(uris), "bob", "why", now))


@pytest.mark.parametrize(
    ("images", "uris", "asked", "reports"),
    [
        ({PERSON, OTHER}, set(), [PERSON], 1),
        ({PERSON}, set(), [PERSON], 1),
        ({PERSON}, set(), [PERSON, OTHER], 2),
        ({PERSON}, {"s3://b/x"}, [PERSON], 2),
        (set(), set(), [PERSON], 2),
    ],
)
def test_what_a_waiting_request_asks_for_is_not_asked_for_again(
    settings: Settings, images: set[str], uris: set[str], asked: list[str], reports: int
) -> None:
    waiting(settings.lake, images, uris)
    found = work.forget(request(asked), "ada", settings)
    assert len(found) == reports
    assert found[0].run_id == "20200101T000000-0a1b2c3d"
    assert list(pending.all_of(settings.lake)) == []


def delete_a_row(settings: Settings) -> None:
    """By another program, of a picture of somebody else in features.photos."""
    with tables.open_catalog(settings) as catalog:
        table = catalog.load_table((names.NAMESPACE, "photos"))
    (task,) = table.scan().plan_files()
    delete_rows(table, task.file.file_path, [1])


@pytest.mark.parametrize("asked", ["before", "at once"])
def test_what_is_in_the_way_in_one_table_stops_no_other_table_and_no_other_request(asked: str, lake: Settings) -> None:
    """The person is in features.photos too, where a row was deleted; the other one is not."""
    another = "5" * 64
    publish(lake, DAY, clouds(0, 3), "birds", ids=[PERSON, another, OTHER])
    publish(lake, DAY, clouds(0, 1), "zoo", ids=[PERSON])
    delete_a_row(lake)
    of_person = "20200101T000000-0a1b2c3d" if asked == "before" else r"\S+"
    if asked == "before":
        waiting(lake.lake, {PERSON}, set())
        said = rf"^request {of_person}: features\.photos: another .* 1 requests wait for the next try, and done are: 20"
    else:
        said = r"^features\.photos: another program has deleted single rows of it; .*, then try again$"
    told: list[Report] = []
    with pytest.raises(CatalogRefused, match=said):
        work.forget(request([another if asked == "before" else PERSON]), "ada", lake, told.append)
    assert [report.tables for report in told] == ([{"features.birds"}] if asked == "before" else []), "and is not lost"
    left = [OTHER] if asked == "before" else [another, OTHER]
    assert read.table(lake, "birds")["image_id"].to_pylist() == left
    assert (
        read.table(lake, "zoo")["image_id"].to_pylist() == read.table(lake, "quarantine")["image_id"].to_pylist() == []
    )
    assert deny.read(lake.lake).has_image(PERSON)
    assert [one.image_ids for one in pending.all_of(lake.lake)] == [frozenset({PERSON})]


def test_of_several_errors_one_that_a_retry_may_mend_is_told(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(lake.lake, {OTHER}, set())
    errors = iter((CatalogRefused("no"), StoreError("late")))

    def fails(self: object) -> None:
        raise next(errors)

    monkeypatch.setattr(work._Work, "finished", fails)
    with pytest.raises(StoreError, match=r"^request \S+: late; 2 requests wait for the next try, and done are: none$"):
        work.forget(request([PERSON]), "ada", lake)


def test_a_damaged_request_stops_no_other(lake: Settings) -> None:
    waiting(lake.lake, {OTHER}, set())
    (damaged,) = Path(lake.lake.removeprefix("file://")).glob("forgotten/pending/*.json")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(
        AuditFailed, match=rf"/{damaged.name}: a request that was not done is damaged, and nothing says "
    ):
        work.forget(request([PERSON]), "ada", lake)
    assert read.table(lake, "photos")["image_id"].to_pylist() == [OTHER]
    assert read.table(lake, "forgotten").num_rows == 1
    assert list(damaged.parent.glob("*.json")) == [damaged]


def test_an_image_that_is_published_again_and_again_has_to_be_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[work._Work] = []
    monkeypatch.setattr(work._Work, "search", lambda own: not searches.append(own))
    with pytest.raises(StoreError, match=r"is published again and again; stop the runs, and then try again$"):
        work.forget(request([PERSON]), "ada", settings)
    assert len(searches) == work.SEARCHES
    assert len(list(pending.all_of(settings.lake))) == 1


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_publication_of_a_file_that_holds_one_is_waited_for(
    when: str, lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that no run can end, since it is not written to its end."""
    export, (file,) = f"{lake.lake}/exports/x.csv", read.files(lake, "photos")
    storage.write(export, PERSON.encode())
    none = sealed.text_of_table(schemas.QUARANTINE.empty_table())

    def begin() -> None:
        content = {"quarantine": none, "files": {"photos": [file]}}
        storage.write(f"{lake.lake}/publishing/{RUN}/publication.json", sealed.encode(content))

    real: Callable[..., Any] = places.exports

    def exports(*given: Any) -> Any:
        if when == "meanwhile":
            begin()
        return real(*given)

    monkeypatch.setattr(work.publications, "finish_interrupted", lambda *_: None)
    monkeypatch.setattr(places, "exports", exports)
    if when == "before":
        begin()
    with pytest.raises(StoreError, match="this run is being published; try again once it is"):
        work.forget(request([PERSON]), "ada", lake)
    assert PERSON in read.table(lake, "photos")["image_id"].to_pylist()
    assert storage.exists(export) is (when == "before")


def test_the_bucket_of_a_lake_is_named_for_what_its_store_may_keep(settings: Settings) -> None:
    asked = Pending("r", frozenset({PERSON}), frozenset({"s3://b/1"}), "ada", "why", dt.datetime.now(dt.UTC))
    in_bucket = dataclasses.replace(settings, lake="s3://b/lake")
    report = work._Work(asked, cast("Any", None), in_bucket, done=True).report
    assert (report.versioned, report.sources, report.images, report.uris) == ("s3://b/lake", {"s3://b/1"}, 1, 1)
    assert work._Work(asked, cast("Any", None), settings, done=True).report.versioned is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("learning", "fruit_predictions"), {("fruit", "a"), ("fruit", "b")}),
        (("features", "quarantine"), {("birds", "a"), ("fruit", "b")}),
        (("features", "fruit"), {("fruit", "a"), ("fruit", "b")}),
        (("features", "fruit_pixels"), {("fruit", "a"), ("fruit", "b")}),
    ],
)
def test_rows_of_each_kind_of_table_have_their_partitions(name: tuple[str, str], expected: set[Any]) -> None:
    rows = pa.table({"partition_key": ["a", "b", "b"], "dataset": ["birds", "fruit", "fruit"]})
    found = pending.partitions_of(cast("Any", SimpleNamespace(name=lambda: name)), rows)
    assert {one for one in found if one[0] in ("birds", "fruit")} == expected
