"""Upkeep beside runs that are published, and beside other clean-ups."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from imagefeatures.catalog.sweep import TableSweep
from imagefeatures.upkeep import live, work
from support.histories import DAYS, History


@pytest.mark.long
@pytest.mark.parametrize("when", ["before it is asked which runs are live", "after that"])
def test_a_run_that_is_published_meanwhile_keeps_its_files(
    history: History, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Its files are older than the days, no snapshot named them when they were listed, and its run.json is gone."""
    run, files = history.ready(DAYS[1])
    history.date_files()
    history.now += dt.timedelta(days=20)
    asked = live.beginnings

    def published_meanwhile(*given: Any) -> set[str]:
        if when == "after that":
            found = asked(*given)
            history.register(run, files)
            return found
        history.register(run, files)
        return asked(*given)

    monkeypatch.setattr(live, "beginnings", published_meanwhile)
    assert work.upkeep(history.settings, dry_run=False, now=history.now).refused == []
    assert all(Path(file.removeprefix("file://")).exists() for file in files)
    history.read_everything()
    assert history.table().scan().to_arrow()["run_id"].to_pylist().count(run.run_id) == 3 * len(files)


@pytest.mark.long
def test_a_table_whose_old_files_go_while_it_is_read_is_read_again(history: History) -> None:
    sweep = TableSweep(history.table(), history.settings.lake, history.settings.retention)
    cleaned = iter([True])

    def read() -> int:
        for _ in cleaned:  # once: another clean-up, whose commit this one has not seen
            history.publish(DAYS[2])
            raise FileNotFoundError
        return len(sweep.table.metadata.snapshots)

    before = len(sweep.table.metadata.snapshots)
    assert sweep._as_it_is(read) == before + 1

    def missing() -> int:
        raise FileNotFoundError("of the table as it is")

    with pytest.raises(FileNotFoundError, match="of the table as it is"):
        sweep._as_it_is(missing)
