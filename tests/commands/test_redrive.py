"""`imagefeatures redrive`: quarantined objects taken again from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.cli import main
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, StoreError
from imagefeatures.settings import Settings, program
from imagefeatures.steps import register
from support.photos import fill, jpeg
from support.redriving import Partition
from support.shared import PARTITION

DAYS = ("2026-11-01", PARTITION)
NAMES = ("empty.jpg", "cut.jpg", "text.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def days(settings: Settings, lake_with_model: str, photos: Path) -> list[Partition]:
    """Two published days, each with one photo and three objects that are none."""
    bad = dict(zip(NAMES, (b"", jpeg(1)[:-20], b"no image"), strict=True))
    for day in DAYS:
        fill(photos, {f"{day}/{name}": data for name, data in {"good.jpg": jpeg(2), **bad}.items()})
    text = f"name: birds\nsource: file://{photos}/{{partition}}/\nlimits: {{max_rejected: 1}}\n"
    (settings.datasets / "birds.yaml").write_text(text)
    found = [Partition(find_dataset(settings.datasets, "birds"), settings, day) for day in DAYS]
    for partition in found:
        partition.publish()
    return found


def mend(photos: Path, *names: str) -> None:
    fill(photos, {f"{day}/{name}": jpeg(int(day[-2:]) * 9 + at) for day in DAYS for at, name in enumerate(names)})


def left(partition: Partition) -> set[str]:
    """The names of what is quarantined, after a check of the numbers."""
    partition.check()
    return {uri.rsplit("/", 1)[-1] for uri in partition.quarantine}


def test_every_partition_with_something_to_take_is_taken_and_told(
    days: list[Partition], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mend(photos, "empty.jpg", "cut.jpg")
    capsys.readouterr()
    assert main(["redrive", "birds", "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    heads = [line for line in out.splitlines() if "a re-drive" in line]
    assert heads == [f"birds {day}, a re-drive; in this process" for day in DAYS]
    results = [line for line in out.splitlines() if line.startswith("registered: ")]
    counts = "4 listed = 3 registered (1 reused, 2 computed) + 1 quarantined (UNSUPPORTED_FORMAT 1)"
    assert [line.partition("; ")[0] for line in results] == [
        f"registered: features.birds {day}: {counts}" for day in DAYS
    ]
    assert all("; 3 of them taken again; " in line for line in results)
    assert [left(day) for day in days] == [{"text.jpg"}] * 2
    before = [day.run for day in days]
    assert main(["redrive", "birds", "--reason", "RATE_LIMITED"]) == 0
    said = "nothing that is quarantined of birds matches: no partition was changed\n"
    assert capsys.readouterr() == (said, "")
    assert [day.run for day in days] == before


def test_each_option_chooses(days: list[Partition], photos: Path, tmp_path: Path) -> None:
    mend(photos, *NAMES)
    first, second = days
    assert main(["redrive", "birds", "--workers", "1", "--partition", DAYS[1], "--reason", "TRUNCATED"]) == 0
    assert [left(day) for day in days] == [set(NAMES), set(NAMES) - {"cut.jpg"}]
    uris = tmp_path / "mended.txt"
    uris.write_text(f"\n  file://{photos}/{DAYS[0]}/text.jpg\r\nfile://{photos}/{DAYS[0]}/nowhere.jpg\n", "utf-8-sig")
    assert main(["redrive", "birds", "--workers", "1", "--uris", str(uris)]) == 0
    assert [left(day) for day in days] == [{"empty.jpg", "cut.jpg"}, {"empty.jpg", "text.jpg"}]
    today = str(first.run["finished_at"].date())
    before = first.run, second.run
    assert main(["redrive", "birds", "--workers", "1", "--since", "2199-01-01"]) == 0
    assert (first.run, second.run) == before
    assert main(["redrive", "birds", "--workers", "1", "--since", today]) == 0
    assert [left(day) for day in days] == [set(), set()]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nobody"], "no dataset file for 'nobody' in "),
        (["birds", "--reason", "TRUNCATD"], "reason: is no reason code (did you mean TRUNCATED?) (got 'TRUNCATD')"),
        (
            ["birds", "--since", "yesterday"],
            "since: must be a day of the calendar, such as 2026-11-01 (got 'yesterday')",
        ),
        (["birds", "--partition", "a/b"], "partition: must be a name such as 2026-11-02"),
        (["birds", "--partition", "2026-12-24"], "partition: 2026-12-24 of birds is not published; run it: "),
        (["birds", "--uris", "nowhere.txt"], "--uris: nowhere.txt: No such file or directory"),
        (["birds", "--uris", "/dev/null"], "--uris: /dev/null: it has no URI; without --uris every object that fits"),
        (["birds", "--since", "20261101"], "since: must be a day without a time, such as 2026-11-01 (got '20261101')"),
        (["birds", "--reason", "truncated"], "reason: is no reason code (did you mean TRUNCATED?) (got 'truncated')"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line_and_status_65(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    (settings.datasets / "birds.yaml").write_text("name: birds\nsource: file:///photos/{partition}/\n")
    assert main(["redrive", *words]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: {text}")


@pytest.mark.long
def test_a_partition_with_an_alert_is_merged_and_the_others_are_taken_too(
    days: list[Partition], photos: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    mend(photos, "empty.jpg")
    file = settings.datasets / "birds.yaml"
    file.write_text(f"{file.read_text()}alerts: {{quarantine_rate: 0.1, images_per_second: 1000000, fail: true}}\n")
    capsys.readouterr()
    assert main(["redrive", "birds", "--workers", "1"]) == EXIT_INPUT_ERROR
    assert [left(day) for day in days] == [{"cut.jpg", "text.jpg"}] * 2
    *alerts, error = capsys.readouterr().err.splitlines()
    said = "quarantine_rate: 2 of 4 objects are quarantined, 50.00%; the bound is 10.00%"
    assert alerts == [f"alert: {said}"] * 2
    because = "The run is published; it fails because alerts.fail is true"
    assert error == "imagefeatures: " + "; ".join(f"features.birds {day}: {said}. {because}" for day in DAYS)


@pytest.mark.long
def test_an_interrupted_re_drive_goes_on_as_any_run(
    days: list[Partition], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("s3://b: no answer in 60 s")

    mend(photos, *NAMES)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("imagefeatures.local.register", away)
        assert main(["redrive", "birds", "--partition", PARTITION, "--workers", "1"]) == 1
    hint, _ = capsys.readouterr().err.splitlines()
    assert hint == f"Finished shards are kept. To go on: {program()} run birds {PARTITION} --resume"
    assert main(["run", "birds", PARTITION, "--workers", "1", "--resume"]) == 0
    assert register.REGISTERED in capsys.readouterr().out
    assert [left(day) for day in days] == [set(NAMES), set()]
