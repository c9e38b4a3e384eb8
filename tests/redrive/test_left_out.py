"""A re-drive of all partitions: one that cannot be taken again is named, and the others are done.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.catalog import standing
from imagefeatures.cli import main
from imagefeatures.errors import EXIT_INPUT_ERROR, CatalogError, CatalogRefused, ImageFeaturesError, InputError
from imagefeatures.redrive.left_out import LeftOut
from imagefeatures.settings import Settings
from imagefeatures_airflow import tasks
from support.redriving import NAME, SMALL, Partition, mend, names_of, small_partition

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def days(settings: Settings, photos: Path) -> list[Partition]:
    """Published days. Of the first the source is empty now; of the others an object is mended."""
    found = [small_partition(photos, settings, day) for day in DAYS]
    shutil.rmtree(photos / DAYS[0])
    (photos / DAYS[0]).mkdir()
    for day in DAYS[1:]:
        mend(photos, SMALL[0], key=day)
    (settings.datasets / f"{NAME}.yaml").write_text(f"name: {NAME}\nsource: file://{photos}/{{partition}}/\n")
    return found


def busy_on(day: str, monkeypatch: pytest.MonkeyPatch, error: ImageFeaturesError) -> None:
    """The catalog answers with an error when it is asked what that day holds."""
    held = standing.standing

    def answer(catalog: Any, settings: Settings, dataset: str, partition: str) -> Any:
        if partition == day:
            raise error
        return held(catalog, settings, dataset, partition)

    monkeypatch.setattr(standing, "standing", answer)


def test_the_command_does_the_others_and_fails_at_the_end(
    days: list[Partition], lake_with_model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [day.run for day in days]
    assert main(["redrive", NAME, "--workers", "1"]) == EXIT_INPUT_ERROR
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"{DAYS[0]} is left out: NO_INPUT: ")
    assert said[1] == (f"imagefeatures: 1 partition of {NAME} was not taken again: {DAYS[0]}; the lines above say why")
    assert days[0].run == held[0]
    for day in days[1:]:
        day.check()
        assert names_of(day.quarantine) == set(SMALL[1:])
    busy_on(DAYS[1], monkeypatch, CatalogError("the catalog is busy"))
    assert main(["redrive", NAME, "--workers", "1"]) == 1  # since another try may do more
    said = capsys.readouterr().err.splitlines()
    assert said[1] == f"{DAYS[1]} is left out: the catalog is busy"
    assert said[2].startswith(f"imagefeatures: 2 partitions of {NAME} were not taken again: {DAYS[0]}, {DAYS[1]}; ")
    assert main(["redrive", NAME, "--partition", DAYS[0]]) == EXIT_INPUT_ERROR  # one that was asked for: its own error
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("imagefeatures: NO_INPUT: ")


def test_plan_returns_the_others_and_the_last_task_names_those_left_out(
    days: list[Partition], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    redrives = tasks.plan_redrives(settings.datasets, NAME, {})
    assert [run_file.split("/")[-3] for run_file in redrives.planned] == list(DAYS[1:])
    assert list(redrives.left_out) == [DAYS[0]]
    capsys.readouterr()
    with pytest.raises(InputError, match=rf"^1 partition of {NAME} was not taken again: {DAYS[0]}; "):
        tasks.refuse_left_out(redrives.left_out, NAME)
    assert capsys.readouterr().out.startswith(f"{DAYS[0]} is left out: NO_INPUT: ")
    tasks.refuse_left_out({}, NAME)


@pytest.mark.long
def test_where_every_partition_is_left_out_plan_itself_fails(
    days: list[Partition], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_on(DAYS[1], monkeypatch, CatalogError("the catalog is busy"))
    reason = {"reason": "EMPTY_OBJECT", "uris": [f"file://x/{DAYS[1]}"]}
    with pytest.raises(ImageFeaturesError) as refused:
        tasks.plan_redrives(settings.datasets, NAME, reason)
    assert not isinstance(refused.value, InputError)  # so Airflow tries again


@pytest.mark.long
def test_partitions_beyond_airflows_most_mapped_tasks_are_left_out_with_what_to_do(
    days: list[Partition], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "1")
    redrives = tasks.plan_redrives(settings.datasets, NAME, {})
    assert [run_file.split("/")[-3] for run_file in redrives.planned] == [DAYS[1]]
    assert list(redrives.left_out) == [DAYS[0], DAYS[2]]
    assert redrives.left_out[DAYS[2]].startswith("Airflow maps no more than 1 tasks: raise core.max_map_length, ")
    uris = {"uris": [f"{days[1].dataset.source_for(DAYS[1])}{SMALL[1]}"]}
    assert tasks.plan_redrives(settings.datasets, NAME, uris).left_out == {}  # the other days have no such object


@pytest.mark.long
def test_what_is_wrong_with_every_partition_ends_a_plan_and_takes_its_runs_along(
    days: list[Partition], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_on(DAYS[2], monkeypatch, CatalogRefused("wrong password"))
    with pytest.raises(CatalogRefused):
        tasks.plan_redrives(settings.datasets, NAME, {})
    assert list(storage.list_objects(f"{settings.lake}/staging")) == []


def test_many_partitions_are_counted_and_the_first_are_named() -> None:
    lines: list[str] = []
    left_out = LeftOut("fruit", None, lines.append)
    for day in range(1500):
        with left_out.noticed(f"{day:04d}"):
            raise InputError("nothing there")
    assert lines[7] == "0007 is left out: nothing there"
    with pytest.raises(InputError) as refused:
        left_out.refuse()
    said = str(refused.value)
    assert said.startswith("1,500 partitions of fruit were not taken again: 0000, 0001, ")
    assert said.endswith(", 0019 and 1,480 more; the lines above say why")


@pytest.mark.parametrize("error", [CatalogRefused("wrong password"), InputError("nothing there")])
def test_an_error_of_the_partition_that_was_asked_for_or_of_every_one_is_raised(error: ImageFeaturesError) -> None:
    asked = "2026-11-02" if isinstance(error, InputError) else None
    left_out = LeftOut("fruit", asked, lambda _: pytest.fail("it is no partition that is left out"))
    with pytest.raises(type(error), match=str(error)), left_out.noticed("2026-11-02"):
        raise error
    left_out.refuse()


def test_twenty_partitions_are_all_named_and_a_try_may_help_where_one_error_may_pass() -> None:
    left_out = LeftOut("fruit", None, lambda _: None)
    for day in range(20):
        with left_out.noticed(f"{day:02d}"):
            raise CatalogError("busy") if day == 7 else InputError("nothing there")
    with pytest.raises(ImageFeaturesError, match=r", 18, 19; the lines above say why$") as refused:
        left_out.refuse()
    assert not isinstance(refused.value, InputError)
