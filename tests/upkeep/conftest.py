"""A lake with two publications of features.photos, all of it written long ago."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.settings import Settings
from support.histories import DAYS, History


@pytest.fixture
def history(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> History:
    made = History(settings, 0, monkeypatch)
    for _ in range(2):
        made.publish(DAYS[0])
    made.date_files()
    return made


@pytest.fixture
def write(history: History) -> Callable[[str, float], Path]:
    """write(path in the lake, days ago): a file of three bytes."""

    def write(path: str, days: float) -> Path:
        file = history.lake / path
        storage.write(f"file://{file}", b"abc")
        moment = (history.now - dt.timedelta(days=days)).timestamp()
        os.utime(file, (moment, moment))
        return file

    return write
