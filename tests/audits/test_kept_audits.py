"""Audits for people who look at them: computed once, one at a time, bounded, and kept."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from imagefeatures.audits import kept
from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.background import UnderWay, Waits
from imagefeatures.forget import deny
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.photos import jpeg
from support.publishing import DAY
from support.shared import until

RUN = "20261102T000000-0a1b2c3d"
NAUGHTY = '=<b>,"\n\r'


@pytest.fixture
def own_cache(settings: Settings, tmp_path: Path) -> Settings:
    return dataclasses.replace(settings, cache=tmp_path / "cache")


@pytest.fixture
def layout(own_cache: Settings) -> Layout:
    return Layout(own_cache.lake, "photos", DAY, RUN)


def finished(audits: KeptAudits, layout: Layout) -> Audit | Waits:
    until(lambda: not isinstance(audits.of(layout), UnderWay))
    found = audits.of(layout)
    assert not isinstance(found, UnderWay)
    return found


def test_it_is_what_the_command_finds_and_is_computed_once(own_cache: Settings, layout: Layout, tmp_path: Path) -> None:
    same = jpeg(1)
    rows = [(f"{at}.jpg", jpeg(at), "fig", direction(at)) for at in range(2, 9)]
    rows += [("a.jpg", same, NAUGHTY, direction(4)), ("b.jpg", same, "fig", direction(4))]
    photos(own_cache, tmp_path, rows)
    audits = KeptAudits(own_cache)
    begun = audits.of(layout)
    assert isinstance(begun, UnderWay)
    assert os.getpriority(os.PRIO_PROCESS, begun.process.pid) == 19
    other = audits.of(dataclasses.replace(layout, partition="2026-11-03"))
    assert other == Waits("Another audit is under way; this one begins after it.")
    audit = finished(audits, layout)
    assert isinstance(audit, Audit)
    assert audit.rows == {"labels": 8, "duplicates": 1}  # b.jpg has the bytes of a.jpg: it is no neighbour of itself
    first, second = audit.first("labels", 0, 2)
    assert (first["label"], first["suggested"], float(first["doubt"])) == (NAUGHTY, "fig", 1)
    assert audit.first("labels", 1, 1) == [second]
    assert audit.first("labels", 8, 5) == []
    (pair,) = audit.first("duplicates", 0, 10)
    assert (pair["kind"], pair["label"], pair["other_label"]) == ("exact", NAUGHTY, "fig")
    assert KeptAudits(own_cache).of(layout) == audit  # another process of the server
    kept = ["duplicates.csv", "duplicates.parquet", "facts.json", "labels.csv", "labels.parquet", "search.json"]
    assert sorted(path.name for path in audit.folder.iterdir()) == kept


def test_a_failure_is_said_and_not_tried_at_every_look(
    own_cache: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audits = KeptAudits(own_cache)
    found = finished(audits, layout)
    assert found == Waits(
        "The audit has failed; the log of Airflow's API server says why. It can be tried again 5 minutes after that.",
        again=False,
    )
    assert "features.photos: no such dataset is published" in caplog.text
    assert list((own_cache.cache / "audits").rglob("*.csv")) == []
    monkeypatch.setattr(kept, "SECONDS", 0.05)
    caplog.clear()
    assert isinstance(KeptAudits(own_cache).of(layout), UnderWay)
    until(lambda: "exit status -9" in caplog.text)  # it was ended


@pytest.mark.parametrize("made_by", [{}, {"format": kept.FORMAT}], ids=["a version before", "this version"])
def test_tables_of_a_version_before_are_made_anew(
    own_cache: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, made_by: dict[str, int]
) -> None:
    folder = own_cache.cache / "audits" / layout.dataset / layout.partition / layout.run_id
    folder.mkdir(parents=True)
    facts = {"rows": {"labels": 1, "duplicates": 0}, "forgotten": deny.state(layout.lake), **made_by}
    (folder / kept.FACTS).write_text(json.dumps(facts))
    (folder / "labels.csv").write_text("label\n'tis\n")

    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", refuse)  # it would begin
    found = KeptAudits(own_cache).of(layout)
    assert folder.exists() == isinstance(found, Audit) == bool(made_by)


def test_a_folder_that_cannot_be_written_is_said(own_cache: Settings, layout: Layout) -> None:
    own_cache.cache.write_bytes(b"no folder")
    assert "names no folder that can be written" in str(KeptAudits(own_cache).of(layout))


@pytest.mark.long
def test_the_audits_that_were_looked_at_last_are_kept(
    own_cache: Settings, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(own_cache, tmp_path, [("a.jpg", jpeg(1), "fig", direction(1)), ("b.jpg", jpeg(2), "pear", direction(1))])
    monkeypatch.setattr(kept, "KEPT", 2)
    audits = KeptAudits(own_cache)
    for number, name in enumerate(("x", "y")):
        folder = own_cache.cache / "audits" / "photos" / name / RUN
        folder.mkdir(parents=True)
        (folder / "facts.json").write_text(
            json.dumps(
                {"format": kept.FORMAT, "rows": {"labels": 0, "duplicates": 0}, "forgotten": deny.state(own_cache.lake)}
            )
        )
        os.utime(folder, (number, number))
    assert isinstance(audits.of(dataclasses.replace(layout, partition="x")), Audit)
    assert isinstance(finished(audits, layout), Audit)
    until(lambda: not (own_cache.cache / "audits" / "photos" / "y" / RUN).exists())
    assert isinstance(audits.of(dataclasses.replace(layout, partition="x")), Audit)


def test_what_a_killed_server_has_left_is_removed_by_the_next_audit_and_nothing_else_is(
    own_cache: Settings, layout: Layout
) -> None:
    folder = own_cache.cache / "audits"
    left, under_way = folder / "other" / DAY / ".left", folder / "photos" / DAY / ".now"
    whole = folder / "a" / DAY / RUN
    for place in (left, under_way, whole):
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("uri")
    for place in (left, whole):
        os.utime(place, (1, time.time() - kept.ABANDONED_SECONDS - 60))
    assert isinstance(finished(KeptAudits(own_cache), layout), Waits)  # there is no such dataset: it fails
    assert sorted(found.parent for found in folder.rglob("labels.csv")) == sorted([under_way, whole])


def test_what_is_half_finished_is_forgotten_too(own_cache: Settings) -> None:
    places = [own_cache.cache / "audits" / "photos" / key / name for key in (DAY, "x") for name in (RUN, ".left")]
    for place in places:
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("uri")
    assert kept.remove(own_cache.cache, [("photos", DAY), ("photos", "never")]) == 2
    assert [place.exists() for place in places] == [False, False, True, True]
