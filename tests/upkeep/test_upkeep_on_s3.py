"""The same in an object store, whose listing says when an object was written."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.histories import DAYS, TABLES, features_file, publication, publications, tables
from support.shared import BUCKET

RUN = "20261001T000000-0a1b2c3d"


@pytest.mark.long
@pytest.mark.usefixtures("s3")
def test_a_lake_in_a_bucket_is_swept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = f"s3://{BUCKET}/lake"
    monkeypatch.setenv("IMAGEFEATURES_LAKE", lake)
    settings = dataclasses.replace(settings, lake=lake)
    catalog, now = tables.open_catalog(settings), dt.datetime.now(dt.UTC)
    run, failed, waits = (Layout(lake, "photos", DAYS[0], RUN[:-1] + end) for end in "abc")
    publications.publish(publication(run, [features_file(run, 0)], now), catalog, settings)
    stray, waiting = features_file(failed, 0), features_file(waits, 0)
    storage.write(waits.run_file, b"{}")
    before = {stored.uri for stored in storage.list_objects(lake)}
    for days, gone in ((6, set()), (8, {stray}), (31, {stray, waiting, waits.run_file})):
        report = work.upkeep(settings, dry_run=False, now=now + dt.timedelta(days=days))
        assert report.refused == []
        assert before - {stored.uri for stored in storage.list_objects(lake)} == gone
    for name in TABLES:
        assert tables.open_table(catalog, settings, name).scan().to_arrow().num_rows > 0


def test_both_kinds_of_store_say_when_an_object_was_written(s3: object, tmp_path: Path) -> None:
    for uri in (f"file://{tmp_path}/a/b", f"s3://{BUCKET}/a/b"):
        storage.write(uri, b"abc")
        (stored,) = storage.list_objects(uri.removesuffix("/b"))
        assert stored.modified is not None
        assert abs(stored.modified - time.time()) < 60
