"""What the pages know of a dataset, whose requests they take for their own, and what they name one by one."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi import HTTPException, Request

from imagefeatures.errors import StoreError
from imagefeatures.settings import Settings
from imagefeatures.thumbnails.make import TableObject
from imagefeatures_airflow.web import access, actions, datasets, rows, thumbnails
from imagefeatures_airflow.web.datasets import DatasetView
from imagefeatures_airflow.web.partitions import Partition
from imagefeatures_airflow.web.published import Unavailable
from support.web import START, runs_row

OWN, FOREIGN = "https://own.example", "https://other.example"


def view(name: str, *rows_of_it: dict[str, Any]) -> DatasetView:
    return DatasetView(name, None, list(rows_of_it), set())


def test_a_dataset_sums_up_its_partitions() -> None:
    rows_of_it = [
        runs_row("figs", "d2", {"CORRUPT": 1, "TIMEOUT": 5}, passed_over=[("hidden", 2)], listed=10),
        runs_row("figs", "d1", {"CORRUPT": 3}, passed_over=None, listed=20, finished_at=START + dt.timedelta(days=1)),
        runs_row("figs", "d0", {"CORRUPT": 2}, passed_over=[("hidden", 1), ("empty", 4)], listed=30),
    ]
    figs = view("figs", *rows_of_it)
    assert figs.dag_id == "features_figs"
    assert figs.reasons == [("CORRUPT", 6), ("TIMEOUT", 5)]
    assert figs.passed_over == [("empty", 4), ("hidden", 3)]
    assert figs.last_published == START + dt.timedelta(days=1)
    assert (figs.total("listed"), figs.total("quarantined")) == (60, 11)
    assert figs.partition("d1") is rows_of_it[1]
    assert figs.partition("d9") is None
    assert figs.has_vectors
    pixels = runs_row("figs", "d3", {}, model="none", pixels="0f")
    assert view("figs", pixels, rows_of_it[0]).has_vectors
    assert not view("figs", pixels).has_vectors


def test_those_are_drawn_that_were_published_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DRAWN", 2)
    ended = {"a": 3, "b": 1, "c": 2}
    views = [
        view(name, runs_row(name, "d", {}, finished_at=START + dt.timedelta(days=at))) for name, at in ended.items()
    ]
    assert datasets.drawn(views) == {"a", "c"}


def test_a_change_of_any_dataset_file_is_seen(tmp_path: Path) -> None:
    states = [datasets._state(tmp_path)]
    file = tmp_path / "figs.yaml"
    file.write_text("name: figs")
    states.append(datasets._state(tmp_path))
    (tmp_path / "notes.txt").write_text("of no dataset")
    assert datasets._state(tmp_path) == states[-1]
    file.write_text("name: pear")
    os.utime(file, (1000, 1000))
    states.append(datasets._state(tmp_path))
    os.utime(file, (1001, 1001))
    states.append(datasets._state(tmp_path))
    (tmp_path / "nuts.yml").symlink_to(tmp_path / "nowhere")
    states.append(datasets._state(tmp_path))
    file.chmod(0o600)
    states.append(datasets._state(tmp_path))
    assert len(set(states)) == len(states) == 6
    assert ("nuts.yml", None) in states[-1]


def test_settings_that_are_malformed_are_said_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "nowhere")
    with pytest.raises(Unavailable, match="IMAGEFEATURES_LAKE"):
        datasets.current_settings()


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": FOREIGN}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": OWN}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none", "Authorization": "Bearer x"}, False),
        ({"Origin": OWN}, True),
        ({"Origin": FOREIGN}, False),
        ({"Origin": FOREIGN, "Authorization": "Bearer x"}, False),
        ({"Origin": "null"}, False),
        ({"Authorization": "Bearer x"}, True),
        ({"Cookie": "_token=x"}, False),
        ({}, False),
    ],
)
def test_a_form_of_another_site_changes_nothing(headers: dict[str, str], own: bool) -> None:
    given = {"Host": "own.example"} | headers
    pairs = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": pairs})
    if own:
        asyncio.run(access._own_form(request))
        return
    with pytest.raises(HTTPException) as refused:
        asyncio.run(access._own_form(request))
    assert refused.value.status_code == 403


def test_objects_are_named_one_by_one_up_to_a_number_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_URIS", 2)
    assert actions._not_named(["s3://b/1.jpg"]) is actions._not_named(["s3://b/1.jpg", "https://h/2.jpg"]) is None
    assert actions._not_named([]) == "0 objects match; 1 to 2 can be named in one re-drive"
    assert actions._not_named(["s3://b/1.jpg"] * 3) == "3 objects match; 1 to 2 can be named in one re-drive"
    assert "may be secret" in (actions._not_named(["s3://b/1.jpg", "https://h/2.jpg?key=x"]) or "")


def test_an_object_is_found_among_the_registered_and_then_the_rejected(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = pa.table({"uri": ["s3://b/1.jpg", "s3://b/2.jpg"], "image_id": ["a" * 64, "b" * 64]})
    rejected = [
        {"uri": "s3://b/3.jpg", "image_id": None, "reason": "NOT_FOUND"},
        {"uri": "s3://b/4.jpg", "image_id": "c" * 64, "reason": "CORRUPT"},
        {"uri": "s3://b/5.jpg", "image_id": "b" * 64, "reason": "DUPLICATE"},
    ]
    monkeypatch.setattr(rows, "photos", lambda _: photos)
    monkeypatch.setattr(rows, "rejected", lambda _: rejected)
    of = Partition(settings, runs_row("figs", "d1", {}))
    assert thumbnails._named(of, "a" * 64) == TableObject("s3://b/1.jpg", "a" * 64)
    assert thumbnails._named(of, "b" * 64) == TableObject("s3://b/2.jpg", "b" * 64)
    assert thumbnails._named(of, "c" * 64) == TableObject("s3://b/4.jpg", "c" * 64, "CORRUPT")
    assert thumbnails._named(of, "d" * 64) is None


def test_a_picture_is_a_jpeg_that_a_browser_keeps_for_some_minutes() -> None:
    answer = thumbnails.response(b"a jpeg")
    assert (answer.status_code, answer.body, answer.media_type) == (200, b"a jpeg", "image/jpeg")
    assert answer.headers["Cache-Control"] == "private, max-age=600"
    for nothing in (None, b""):
        answer = thumbnails.response(nothing)
        assert (answer.status_code, answer.body) == (404, b"")
        assert "Cache-Control" not in answer.headers


def test_why_rows_cannot_be_read_stands_in_the_log_alone(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise StoreError("s3://secret/ is away")

    with pytest.raises(Unavailable) as found:
        rows.readable(Partition(settings, runs_row("figs", "d1", {})), fails)
    said = "The rows of figs d1 cannot be read now (StoreError). The log of Airflow's API server says why."
    assert str(found.value) == said
    assert "the rows of figs d1 cannot be read: s3://secret/ is away" in caplog.text
