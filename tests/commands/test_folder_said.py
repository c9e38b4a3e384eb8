"""`imagefeatures folder`: every line of it in its place, what is named of the rejected, and where the picture goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import folder_dataset
from imagefeatures.catalog import tables
from imagefeatures.cli import main
from imagefeatures.commands import folder, local_run
from imagefeatures.datasets import Dataset
from imagefeatures.settings import REPOSITORY, Settings, program
from support.photos import fill, jpeg
from support.publishing import DAY, features_file
from support.reading import photos_table

BIRDS = Dataset(name="birds", source="file:///my/birds/")


def rejected(*counts: int) -> list[dict[str, Any]]:
    """So many of each reason, those of the last names first."""
    return [
        {"reason": reason, "uri": f"file:///my/birds/{reason}{at}.jpg", "detail": "cut"}
        for reason, count in zip(("A", "B"), counts, strict=False)
        for at in reversed(range(count))
    ]


def test_of_each_reason_the_first_ones_are_named_and_the_others_counted() -> None:
    lines = list(folder._about_rejected(rejected(4, 6), BIRDS, published=False))
    assert lines == [
        "",
        "Rejected:",
        "  6 × B",
        *[f"      B{at}.jpg: cut" for at in range(4)],
        "      … and 2 more",
        "  4 × A",
        *[f"      A{at}.jpg: cut" for at in range(4)],
    ]


def test_those_that_are_in_a_table_can_be_read_there() -> None:
    lines = list(folder._about_rejected(rejected(1), BIRDS))
    assert lines[4] == f"  To see all of them, with {program('python')}:"
    assert lines[-1].endswith(", where=\"dataset = 'birds'\").to_pylist()  # uri, reason, detail")
    assert list(folder._about_rejected([], BIRDS)) == []


def test_the_picture_of_a_checkout_is_in_its_folder_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder._place_of_picture(BIRDS) == REPOSITORY / "out" / "birds.png"
    monkeypatch.setattr(folder, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert folder._place_of_picture(BIRDS) == tmp_path / "birds.png"
    own = BIRDS.model_copy(update={"source": f"file://{tmp_path}/"})
    assert folder._place_of_picture(own) == tmp_path.parent / "birds.png"


def test_the_sample_is_of_the_folders_rows_and_the_total_is_of_all_batches(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, key = photos_table(settings), folder_dataset.PARTITION
    files = [features_file(tmp_path, run, key, rows, run) for run, rows in (("one", 3), ("two", 5))]
    tables.replace_files(table, key, files, "run")
    tables.replace_files(table, DAY, [features_file(tmp_path, "three", rows=7)], "three")
    monkeypatch.setattr("imagefeatures.picture.sample", lambda uris: list(range(len(uris)))[:6])
    dataset = Dataset(name="photos", source="file:///my/photos/")
    features, labels, uris, total = folder._sampled(dataset, settings)
    assert (features.shape, total) == ((6, 4), 8)
    assert len(uris) == len(labels) == 6
    assert set(labels) == {"one", "two"}


def test_an_error_of_the_table_costs_only_the_picture(settings: Settings, tmp_path: Path) -> None:
    line = folder._draw(BIRDS, settings, tmp_path / "a.png")
    assert line.startswith("The picture could not be drawn: features.birds: no such dataset is published")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command was to do, which nothing does: run, say how to go on, draw."""
    found: list[Any] = []

    @contextlib.contextmanager
    def resumable(_: Settings, *given: Any, **named: Any) -> Iterator[None]:
        found.append((*given, named))
        yield

    summary = {
        "listed": 2000, "registered": 1500, "quarantined": 500, "reused": 0, "passed_over": {"default_excludes": 2},
    }  # fmt: skip
    clock = iter(range(100, 1000, 4))
    monkeypatch.setattr("imagefeatures.commands.folder.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(local_run, "resumable", resumable)
    monkeypatch.setattr(local_run, "about_table", lambda *_: ["the table"])
    monkeypatch.setattr(folder, "_published", lambda *given: found.append(given[2:]) or (summary, rejected(1)))
    monkeypatch.setattr(folder, "_draw", lambda _, __, target: found.append(target) or "the picture")
    return found


def test_every_line_has_its_place(
    asked: list[Any], settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = fill(tmp_path / "my birds", {"a.jpg": jpeg(1)})
    assert main(["folder", str(photos), "--name", "birds", "--workers", "3", "--picture", "x.png"]) == 0
    dataset = folder_dataset.dataset_of(str(photos), settings, "birds")
    assert capsys.readouterr().out.splitlines() == [
        f"{photos}/ to features.birds, without labels; 3 workers",
        "",
        "2,000 files = 1,500 images with features + 500 rejected, in 4.0 s (500 files/s)",
        "2 objects passed over that systems and tools leave beside photos, such as .DS_Store",
        *folder._about_rejected(rejected(1), dataset),
        "",
        "the table",
        "",
        "the picture",
        "",
        f"To have it in Airflow too, save this as {settings.datasets}/birds.yaml:",
        "",
        *[f"    {line}" for line in folder_dataset.dataset_file(dataset).splitlines()],
    ]
    command = f"{program()} folder '{photos}' --name birds"
    assert asked == [("birds", folder_dataset.PARTITION, command, {"planned": False}), (3, False), Path("x.png")]


@pytest.mark.usefixtures("settings")
def test_without_a_name_the_folders_is_taken_and_the_picture_has_it(asked: list[Any], tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", {"sub/a.jpg": jpeg(1)})
    assert main(["folder", str(photos), "--workers", "1", "--resume"]) == 0
    command = f"{program()} folder {photos}"
    assert asked == [
        ("photos", folder_dataset.PARTITION, command, {"planned": True}),
        (1, True),
        REPOSITORY / "out" / "photos.png",
    ]
