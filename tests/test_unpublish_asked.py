"""Which partitions a withdrawal takes back."""

from __future__ import annotations

import pytest

from imagefeatures import unpublish
from imagefeatures.errors import ParamsError
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from support.measured import clouds, publish

FIRST, SECOND = "2026-11-01", "2026-11-02"


def test_those_that_are_published_are_asked_for_by_name_or_all_together(settings: Settings) -> None:
    def asked(partition: str | None = None, dataset: str = "photos") -> list[str]:
        return unpublish.partitions(dataset, UnpublishParams(partition=partition, why="x"), settings)

    def refused(partition: str | None = None, dataset: str = "photos") -> str:
        with pytest.raises(ParamsError) as raised:
            asked(partition, dataset)
        return str(raised.value)

    def take_back(partition: str) -> None:
        assert unpublish.withdraw("photos", partition, UnpublishParams(why="x", dry_run=False), "ada", settings)

    for day in (FIRST, SECOND):
        publish(settings, day, clouds(0, 2))
    assert (asked(), asked(SECOND)) == ([FIRST, SECOND], [SECOND])
    assert refused(dataset="nuts") == "DATASET: no partition of 'nuts' is published"
    assert refused("1999-12-24") == f"partition: 1999-12-24 of photos is not published; there are {FIRST}, {SECOND}"
    assert refused("yesterday").startswith("partition: 2")
    take_back(SECOND)
    assert (asked(), asked(FIRST)) == ([FIRST], [FIRST])
    assert asked(SECOND) == []  # it was done before, as when a task is tried again
    take_back(FIRST)
    assert asked() == asked(FIRST) == []
    assert refused("1999-12-24") == refused(dataset="nuts").replace("nuts", "photos")
