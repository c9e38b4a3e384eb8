"""What drivers have used is kept for each attempt, and what cannot be kept or read is left out."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures.usage import drivers
from imagefeatures.usage.drivers import DriverUsage
from imagefeatures.usage.meter import Usage
from imagefeatures.usage.traffic import Traffic
from support.map_files import gone_after_a_listing
from support.publishing import DAY

ONE, TWO = Usage(1.5, None, Traffic(bytes_read=1)), Usage(2.5, 300, Traffic(get_requests=2))


@pytest.fixture
def layout(settings: Settings) -> Layout:
    return Layout(settings.lake, "photos", DAY, "20261102T000000-00000000")


def test_each_attempt_is_read_by_its_step(layout: Layout) -> None:
    drivers.keep(layout, "plan", ONE, 7.5)
    drivers.keep(layout, "resize", ONE)
    drivers.keep(layout, "resize", TWO)
    found = drivers.read(layout)
    assert set(found) == {"plan", "resize"}
    assert found["plan"] == [DriverUsage(ONE, 7.5)]
    assert sorted(found["resize"], key=lambda one: one.usage.core_seconds) == [DriverUsage(ONE), DriverUsage(TWO)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"step": "resize"',
        b"{}",
        b"[]",
        b'{"usage": {"traffic": {}}, "step": "resize", "joules": null}',
        b'{"usage": null, "step": "resize", "joules": null}',
    ],
)
def test_what_is_damaged_or_says_nothing_is_left_out(layout: Layout, data: bytes) -> None:
    storage.write(layout.new_driver_usage("resize"), data)
    drivers.keep(layout, "plan", ONE)
    assert drivers.read(layout) == {"plan": [DriverUsage(ONE)]}


def test_what_another_process_deletes_is_left_out(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    drivers.keep(layout, "plan", ONE)
    (name,) = storage.names(layout.driver_usages)
    gone_after_a_listing(monkeypatch, f"{layout.driver_usages}/{name}")
    assert drivers.read(layout) == {}


def test_what_cannot_be_written_is_said_and_ends_nothing(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("no answer")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(storage, "write", refuse)
    drivers.keep(layout, "plan", ONE)
    assert "plan: what its driver has used is not counted (no answer)" in caplog.text
    assert not Path(layout.driver_usages.removeprefix("file://")).exists()
