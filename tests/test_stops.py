"""What stopped a step of a run is kept beside the run, and never stops one itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import stops, storage
from imagefeatures.layout import Layout
from imagefeatures.stops import Stop

STOP = Stop("resize", "StoreError", "no answer in 60 s")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Of a run whose folder is there."""
    found = Layout(f"file://{tmp_path}", "photos", "2026-11-02", "r1")
    storage.write(found.run_file, b"{}")
    return found


def test_the_last_one_is_kept(layout: Layout) -> None:
    assert stops.last(layout) is None
    for stop in (Stop("ingest", "NoInput", "nothing"), STOP):
        stops.keep(layout, stop)
        assert stops.last(layout) == stop


def test_the_folder_of_a_finished_run_does_not_come_back(layout: Layout) -> None:
    storage.delete_folder(layout.run)
    stops.keep(layout, STOP)
    assert storage.names(layout.run) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"7", b'{"step": "resize", "kind": "StoreError"}'])
def test_what_is_none_counts_for_none(layout: Layout, content: bytes) -> None:
    storage.write(layout.stop, content)
    assert stops.last(layout) is None


def test_where_it_cannot_be_kept_or_read_there_is_none(layout: Layout) -> None:
    Path(layout.stop.removeprefix("file://")).mkdir()
    stops.keep(layout, STOP)
    assert stops.last(layout) is None
    nowhere = Layout("ftp://lake", "photos", "2026-11-02", "r1")
    stops.keep(nowhere, STOP)
    assert stops.last(nowhere) is None


def test_one_is_made_of_its_own_mapping_alone() -> None:
    assert Stop.of_mapping({"step": "resize", "kind": "StoreError", "why": 7, "more": 1}) == Stop(
        "resize", "StoreError", "7"
    )
    assert Stop.of_mapping({"step": "resize"}) is None
    assert Stop.of_mapping(None) is None  # type: ignore[arg-type]
