"""Maps of real publications leave with what is taken back, and with what is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import publications, read, storage, unpublish
from imagefeatures.catalog import tables
from imagefeatures.forget import work
from imagefeatures.maps import choice, stored
from imagefeatures.run_params import ForgetParams, UnpublishParams
from imagefeatures.settings import Settings
from support.redriving import small_partition

FIRST, SECOND = "2026-11-01", "2026-11-02"


@pytest.fixture(autouse=True)
def _two_days(tmp_path: Path, settings: Settings) -> None:
    for day in (FIRST, SECOND):
        small_partition(tmp_path / "photos", settings, day, limits={"max_rejected": 1})


def make(settings: Settings, *partitions: str) -> str:
    """The URI of a map of these partitions that has been made."""
    chosen = choice.published(settings, "photos", partitions)
    stored.make(settings, chosen)
    return stored.uri_of(settings.lake, chosen)


def files(settings: Settings) -> set[str]:
    return {listed.uri for listed in storage.list_objects(f"{settings.lake}/maps")}


@pytest.mark.long
def test_a_map_leaves_with_a_partition_that_it_shows(settings: Settings) -> None:
    both, first, second = make(settings, FIRST, SECOND), make(settings, FIRST), make(settings, SECOND)
    asked = {"why": "a wrong camera", "dry_run": True}
    unpublish.withdraw("photos", SECOND, UnpublishParams.parse(asked), "ada", settings)
    assert files(settings) == {both, first, second}
    asked["dry_run"] = False
    unpublish.withdraw("photos", SECOND, UnpublishParams.parse(asked), "ada", settings)
    assert files(settings) == {first}


@pytest.mark.long
def test_a_map_leaves_when_a_withdrawal_is_finished_that_was_interrupted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = make(settings, FIRST), make(settings, SECOND)

    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(tables, "replace_rows", ends)
        unpublish.withdraw("photos", SECOND, UnpublishParams.parse({"why": "x", "dry_run": False}), "ada", settings)
    with tables.open_catalog(settings) as catalog:
        publications.finish_interrupted(catalog, settings)
    assert files(settings) == {first}


@pytest.mark.long
def test_a_map_leaves_with_an_image_that_it_shows(settings: Settings) -> None:
    first, second = make(settings, FIRST), make(settings, SECOND)
    shown = read.table(settings, "photos", partitions=(SECOND,), columns=("image_id",))["image_id"].to_pylist()
    asked = {"image_ids": [shown[0]], "why": "asked to", "dry_run": True}
    work.forget(ForgetParams.parse(asked), "ada", settings)
    assert files(settings) == {first, second}
    (report,) = work.forget(ForgetParams.parse(asked | {"dry_run": False}), "ada", settings)
    assert report.rows
    assert files(settings) == set()  # both days have the image
    again = make(settings, SECOND)
    found = stored.decode(storage.read(again))
    assert shown[0] not in found.points["image_id"].to_pylist()
