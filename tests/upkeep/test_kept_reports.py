"""The reports of the last upkeeps: kept in the lake, the newest first, and by a dry run none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import layout, sealed
from imagefeatures.settings import Settings
from imagefeatures.upkeep import kept, work
from imagefeatures.upkeep.report import Line, Report
from support.histories import DAYS, History

NOW = dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)


def report_of(count: int, refused: tuple[str, ...] = ()) -> Report:
    return Report(True, [Line("snapshots", count), Line("kept rejects", 2, 1000, 86_400.5)], [*refused], {"herbs"})


def test_an_upkeep_keeps_what_it_removed_and_a_dry_run_keeps_nothing(
    history: History, write: Callable[[str, float], Path]
) -> None:
    stray = (
        f"warehouse/features/photos/data/partition_key={DAYS[0]}/20261001T000000-0a1b2c3d-shard-00000-0a1b2c3d.parquet"
    )
    size = write(stray, 8).stat().st_size
    work.upkeep(history.settings, dry_run=True, now=history.now)
    assert kept.last(history.settings.lake) == []
    work.upkeep(history.settings, dry_run=False, now=history.now)
    (only,) = kept.last(history.settings.lake)
    assert [(line.what, line.count, line.size) for line in only.found] == [("files of no snapshot", 1, size)]
    assert (only.at, only.size, only.report.done) == (history.now, size, True)


def test_reports_are_read_as_they_were_written_and_the_thirteenth_goes(settings: Settings) -> None:
    for number in range(kept.MOST + 1):
        kept.keep(settings.lake, report_of(number, ("features.x: damaged",)), NOW + dt.timedelta(days=7 * number))
    found = kept.last(settings.lake)
    assert [one.report.kinds[0].count for one in found] == [*range(kept.MOST, 0, -1)]
    assert found[-1].at == NOW + dt.timedelta(days=7)
    assert found[0].report.kinds[1] == Line("kept rejects", 2, 1000, 86_400)
    assert (found[0].report.refused, found[0].report.unknown) == (["features.x: damaged"], {"herbs"})
    assert found[0].report.done
    assert (found[0].things, found[0].size) == (kept.MOST + 2, 1000)
    assert [line.what for line in kept.Kept(NOW, report_of(0)).found] == ["kept rejects"]


@pytest.mark.parametrize(
    "change",
    [
        b"", b"{}", b"[1]", b"\xff", sealed.encode({"other": []}), sealed.encode({"reports": 7}),
        sealed.encode({"reports": [{"at": "some day", "kinds": [], "refused": [], "unknown": []}]}),
    ],
)  # fmt: skip
def test_reports_that_somebody_has_changed_are_none_and_the_next_one_begins_anew(
    settings: Settings, change: bytes
) -> None:
    kept.keep(settings.lake, report_of(1), NOW)
    path = Path(layout.upkeep_reports(settings.lake).removeprefix("file://"))
    path.write_bytes(change)
    assert kept.last(settings.lake) == []
    kept.keep(settings.lake, report_of(2), NOW)
    assert len(kept.last(settings.lake)) == 1
