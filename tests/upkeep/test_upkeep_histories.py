"""Upkeep against a model, over random histories of a lake: HISTORIES says how many (3), SEED where they begin (0).

In each third one also by a process of its own, which SIGKILL ends at a random moment.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections import Counter

import pytest

from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.histories import TABLES, History, Killed, killed_before_deletion
from support.upkeep_model import live_runs, named, stored, upkeep_and_check, upkeep_killed

FIRST = int(os.environ.get("SEED") or "0")
SEEDS = range(FIRST, FIRST + int(os.environ.get("HISTORIES") or "3"))
STEPS = 16


@pytest.mark.long
@pytest.mark.parametrize(
    ("seed", "by_signal"), [*((seed, False) for seed in SEEDS), *((seed, True) for seed in SEEDS[::3])]
)
def test_what_is_needed_stays_and_all_else_goes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seed: int, by_signal: bool
) -> None:
    history, seen = History(settings, seed, monkeypatch), Counter[str]()
    history.publish()
    history.date_files()
    for number in range(STEPS):
        seen[history.step()] += 1
        if number % 4 == 3:
            if by_signal:
                seen[f"SIGKILL {upkeep_killed(history)}"] += 1
            elif history.random.random() < 0.5:
                with killed_before_deletion(history.random.randrange(12)), contextlib.suppress(Killed):
                    work.upkeep(settings, dry_run=False, now=history.now)
                history.date_files()
                seen["upkeep killed"] += 1
            upkeep_and_check(history, seen)
            for until, scan, rows in history.readers:
                if history.now <= until:
                    assert scan.to_arrow().num_rows == rows
                    seen["readers unharmed"] += 1
    history.read_everything()
    history.now += dt.timedelta(days=100)
    upkeep_and_check(history, seen)
    history.read_everything()
    for name in TABLES:
        table = history.table(name)
        beginnings = tuple(f"{run}-" for run in live_runs(history))
        others = {path for path in stored(table) if not path.rpartition("/")[2].startswith(beginnings)}
        assert others <= named(table)
    with capsys.disabled():
        print(f"\nseed {seed}: {dict(seen)}")
