"""Feature maps go when what they show is published anew or taken back, when they are damaged, and when they are old."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from imagefeatures import read, storage
from imagefeatures.maps import choice, stored
from imagefeatures.maps.choice import Choice
from imagefeatures.maps.compute import POINTS, FeatureMap
from imagefeatures.upkeep import work
from support.histories import DAYS, History


def keep(history: History, of: Choice) -> Path:
    """A map of no photo."""
    uri = stored.uri_of(history.settings.lake, of)
    facts = {"runs": of.runs, "forgotten": "", "made_at": "2026-11-03T00:00:00+00:00"}
    storage.write(uri, stored.encode(FeatureMap(POINTS.empty_table(), facts)))
    return Path(uri.removeprefix("file://"))


def upkeep(history: History, *, dry_run: bool = False) -> int:
    """How many maps go."""
    report = work.upkeep(history.settings, dry_run=dry_run, now=history.now)
    assert report.refused == []
    (line,) = [line for line in report.kinds if line.what == "feature maps"]
    return line.count


def test_a_map_stays_as_long_as_what_it_shows_is_published_and_it_is_young(history: History) -> None:
    (run,) = read.runs(history.settings, "photos")
    shown = keep(history, Choice.of("photos", [run]))
    replaced = keep(history, Choice.of("photos", [run | {"run_id": "20261001T000000-0a1b2c3d"}]))
    taken_back = keep(history, Choice.of("photos", [run, run | {"partition_key": DAYS[1]}]))
    damaged, theirs = shown.with_name(f"{'0a' * 16}.parquet"), shown.parent.with_name("theirs") / replaced.name
    others = [shown.with_name("notes.parquet"), theirs]
    for file in (damaged, *others):
        storage.write(f"file://{file}", b"abc")
    history.date_files()
    gone = [replaced, taken_back, damaged]
    assert upkeep(history, dry_run=True) == 3
    assert all(file.exists() for file in gone)
    assert upkeep(history) == 3
    assert not any(file.exists() for file in gone)
    assert stored.find(history.settings.lake, "photos", choice.published(history.settings, "photos").digest)
    history.now += dt.timedelta(days=29.9)
    assert upkeep(history) == 0
    history.now += dt.timedelta(days=0.2)
    assert upkeep(history) == 1
    assert not shown.exists()
    assert all(file.exists() for file in others)
