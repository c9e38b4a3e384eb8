"""Looks at runs: each run's receipts are read once, however many runs are watched at the same time."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from imagefeatures.layout import Layout


@pytest.fixture
def looks(site: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with no run watched."""
    from imagefeatures_airflow.web import looks

    monkeypatch.setattr(looks, "_watched", {})
    return looks


def layout(number: int) -> Layout:
    return Layout("file:///lake", "lots", f"p{number}", "run")


def of_receipts(looks: Any, monkeypatch: pytest.MonkeyPatch, each: int) -> list[str]:
    """Looks that find so many receipts in each run. Returns the partitions of those whose receipts were read."""
    read: list[str] = []

    def look(watched: Any) -> None:
        run = watched.run
        if not run.receipts_known:
            read.append(run.layout.partition)
            run._receipts["ingest"] = dict.fromkeys(range(each))

    monkeypatch.setattr(looks, "_look", look)
    return read


def test_runs_that_are_watched_together_are_read_once_each(looks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = of_receipts(looks, monkeypatch, 10)
    for _ in range(3):
        for number in range(20):
            looks._latest(layout(number)).result()
    assert read == [f"p{number}" for number in range(20)]


@pytest.mark.parametrize("bound", ["MOST_RUNS", "MOST_RECEIPTS"])
def test_no_run_that_is_watched_makes_room_for_another_one(
    looks: Any, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    from imagefeatures_airflow.web.published import Unavailable

    read = of_receipts(looks, monkeypatch, 10)
    monkeypatch.setattr(looks, bound, 3 if bound == "MOST_RUNS" else 30)
    for number in range(3):
        looks._latest(layout(number)).result()
    for _ in range(2):
        with pytest.raises(Unavailable, match="too many other runs are watched"):
            looks._latest(layout(3))
    looks._latest(layout(0)).result()
    assert read == ["p0", "p1", "p2"]
    for number in (0, 1):
        looks._watched[layout(number)].asked -= looks.IDLE_SECONDS
    looks._watched[layout(0)].latest = Future()  # a look that hangs
    looks._latest(layout(3)).result()
    assert [watched.partition for watched in looks._watched] == ["p0", "p2", "p3"]
