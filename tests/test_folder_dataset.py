"""The dataset of any folder: its name, its labels, and the file that would do the same every day."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from imagefeatures import folder_dataset, layout, storage
from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import NAME, RESERVED_NAMES
from imagefeatures.errors import NoInput, ParamsError
from imagefeatures.folder_dataset import LONGEST_NAME, dataset_file, dataset_of, datasets_folder, name_of
from imagefeatures.settings import Settings
from support.photos import fill
from support.shared import BUCKET
from support.web import publish, runs_row


@pytest.mark.parametrize(
    ("path", "cwd"),
    [
        ("{home}/My Photos", "/"),
        ("~/My Photos/", "/"),
        ("My Photos", "{home}"),
        ("./My Photos/../My Photos//", "{home}"),
        (".", "{home}/My Photos"),
    ],
)
def test_a_folder_is_the_same_however_it_is_typed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, cwd: str
) -> None:
    home = fill(tmp_path / "home", {"My Photos/a.jpg": b"a"})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(cwd.format(home=home))
    dataset = dataset_of(path.format(home=home), settings)
    assert (dataset.name, str(dataset.source)) == ("my_photos", f"file://{home}/My Photos/")
    assert (dataset.label, dataset.limits.max_rejected) == ("none", 1)


def test_labels_are_subfolders_where_a_file_lies_in_one(settings: Settings, tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    (folder / "empty").mkdir()
    assert dataset_of(str(folder), settings).label == "none"
    fill(folder, {"zebras/deep/b.jpg": b"b"})
    dataset = dataset_of(str(folder), settings)
    assert dataset.label == "parent"
    assert dataset.label_of(f"file://{folder}/zebras/deep/b.jpg") == "deep"


def test_a_name_is_valid_whatever_the_folder_is_called() -> None:
    for folder in (
        "",
        " ",
        "..",
        "2024",
        "_x_",
        "x" * 300,
        "写真",
        "runs",
        "QUARANTINE",
        "a b-c",
        "é",
        "İstanbul",
        "ß",
    ):
        name = name_of(folder)
        assert re.fullmatch(NAME, name)
        assert len(name) <= LONGEST_NAME
        assert name not in RESERVED_NAMES


def test_the_name_of_another_dataset_is_not_taken(settings: Settings, tmp_path: Path) -> None:
    one, two = (fill(tmp_path / at / "fruit", {"a.jpg": b"a"}) for at in ("one", "two"))
    (settings.datasets / "fruit.yaml").write_text(f"name: fruit\nsource: file://{one}/\n")
    assert dataset_of(str(one), settings).name == "fruit"  # the file is about this very folder
    other = dataset_of(str(two), settings).name
    assert re.fullmatch(r"fruit_[0-9a-f]{6}", other)
    assert dataset_of(str(two), settings).name == other  # the same the next time
    (settings.datasets / "fruit.yaml").rename(settings.datasets / "fruit.yml")
    assert [dataset_of(str(folder), settings).name for folder in (two, one)] == [other, "fruit"]
    (settings.datasets / "fruit.yml").rename(settings.datasets / "fruit.yaml")
    (settings.datasets / "fruit.yaml").write_text("name: [")
    assert dataset_of(str(one), settings).name != "fruit"
    with pytest.raises(ParamsError, match="--name: fruit is another dataset already"):
        dataset_of(str(two), settings, "fruit")
    assert dataset_of(str(two), settings, "mine").name == "mine"
    with pytest.raises(ParamsError, match="cannot be a dataset: name: must be a name such as fruit"):
        dataset_of(str(two), settings, "Mine!")


def test_what_is_no_folder_of_photos_is_refused_in_words(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(b"a")
    fill(tmp_path, {"with {braces}/a.jpg": b"a", "lake/x/a.jpg": b"a", "$HOME/a.jpg": b"a", "left/.DS_Store": b"a"})
    odd = os.fsdecode(b"caf\xe9")
    (tmp_path / odd).mkdir()
    (tmp_path / "nothing" / "in here").mkdir(parents=True)
    for path, error, text in (
        ("", ParamsError, "there is no folder ''"),
        (f"{tmp_path}/missing", ParamsError, f"there is no folder '{tmp_path}/missing'"),
        (f"{tmp_path}/file.jpg", ParamsError, "file.jpg is a file, not a folder"),
        (f"{tmp_path}/file.jpg/x", ParamsError, "there is no folder"),
        ("~nobody-of-this-name/x", ParamsError, "~nobody-of-this-name/x"),
        (f"{tmp_path}/{'x' * 300}", ParamsError, "File name too long"),
        (f"{tmp_path}/with {{braces}}", ParamsError, "a source cannot have braces in its path"),
        (f"{tmp_path}/{odd}", ParamsError, "is not UTF-8"),
        (f"{tmp_path}", ParamsError, "holds the lake"),
        (f"{tmp_path}/lake", ParamsError, "holds the lake"),
        (f"{tmp_path}/$HOME", ParamsError, f"{tmp_path}/$HOME: cannot be a dataset: uri: $HOME: variables are not"),
        (
            f"{tmp_path}/left",
            NoInput,
            f"there is no file in {tmp_path}/left/; 1 object passed over: default_excludes 1",
        ),
        (f"{tmp_path}/nothing", NoInput, f"NO_INPUT: there is no file in {tmp_path}/nothing/"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            dataset_of(path, settings)


@pytest.mark.parametrize(("photo", "label"), [("sub/a.jpg", "parent"), ("a.jpg", "none")])
def test_the_file_is_a_dataset_file(settings: Settings, tmp_path: Path, photo: str, label: str) -> None:
    folder = fill(tmp_path / "it's: #1 – “été” 写真 \\ 100%", {photo: b"a"})
    dataset = dataset_of(str(folder), settings)
    path = settings.datasets / f"{dataset.name}.yaml"
    path.write_text(dataset_file(dataset), encoding="utf-8")
    assert load_dataset(path) == dataset.model_copy(update={"schedule": None})
    fields = [line for line in dataset_file(dataset).splitlines() if not line.startswith(("#", " "))]
    assert [line.partition(":")[0] for line in fields] == ["name", "source", "label", "schedule", "limits"]
    assert "写真" in fields[1]  # for a person to read
    assert fields[2] == f"label: {label}"


def test_a_name_whose_digest_is_taken_too_has_to_be_chosen(settings: Settings, tmp_path: Path) -> None:
    one, two = (fill(tmp_path / at / "trip", {"a.jpg": b"a"}) for at in ("one", "two"))
    assert dataset_of(str(one), settings).name == "trip"
    name = dataset_of(str(two), settings).name
    (settings.datasets / f"{name}.yaml").write_text(f"name: {name}\nsource: s3://b/\n")
    with pytest.raises(ParamsError, match=rf"^{two}: {name} is another dataset already; choose a name with --name$"):
        dataset_of(str(two), settings)


def test_where_the_package_is_installed_there_may_be_no_folder_of_dataset_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datasets_folder(settings) == settings.datasets
    monkeypatch.setattr("imagefeatures.settings.REPOSITORY", tmp_path)
    monkeypatch.delenv("IMAGEFEATURES_DATASETS")
    installed = Settings.from_env()
    assert datasets_folder(installed) is None
    assert dataset_of(str(fill(tmp_path / "trip", {"a.jpg": b"a"})), installed).name == "trip"


@pytest.mark.parametrize("order", [("outer", "inner"), ("inner", "outer")])
def test_a_folder_and_its_subfolder_of_the_same_name_are_two_datasets(
    settings: Settings, tmp_path: Path, order: tuple[str, str]
) -> None:
    outer = fill(tmp_path / "art", {"a.jpg": b"a", "art/b.jpg": b"b"})
    folders = {"outer": str(outer), "inner": str(outer / "art")}
    first, second = (dataset_of(folders[which], settings).name for which in order)
    assert first == "art"
    assert re.fullmatch(r"art_[0-9a-f]{6}", second)
    assert [dataset_of(folders[which], settings).name for which in order] == [first, second]


def test_a_name_is_reserved_before_anything_is_published(settings: Settings, tmp_path: Path) -> None:
    one, two, three = (fill(tmp_path / str(at) / "trip", {"a.jpg": b"a"}) for at in range(3))
    names = [dataset_of(str(folder), settings).name for folder in (one, two, three)]
    assert names[0] == "trip"
    assert len(set(names)) == 3
    with pytest.raises(ParamsError, match="--name: trip is another dataset already"):
        dataset_of(str(two), settings, "trip")


def test_a_name_that_was_published_by_a_dataset_file_that_is_gone_is_not_taken(
    settings: Settings, tmp_path: Path
) -> None:
    publish(settings, runs_row("trip", "2026-11-02", {}))
    folder = fill(tmp_path / "trip", {"a.jpg": b"a"})
    assert re.fullmatch(r"trip_[0-9a-f]{6}", dataset_of(str(folder), settings).name)


def test_of_two_folders_that_reserve_a_name_at_once_the_first_has_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(name: str, settings: Settings) -> bool:
        storage.write(layout.folder_reservation(settings.lake, name), b"file:///the/other/", only_if_absent=True)
        return False

    monkeypatch.setattr(folder_dataset, "_is_published", meanwhile)
    with pytest.raises(ParamsError, match="--name: trip is another dataset already"):
        dataset_of(str(fill(tmp_path / "trip", {"a.jpg": b"a"})), settings, "trip")
    assert storage.read(layout.folder_reservation(settings.lake, "trip")) == b"file:///the/other/"


def test_a_pipe_in_a_subfolder_makes_no_labels_and_a_photo_does(settings: Settings, tmp_path: Path) -> None:
    folder = fill(tmp_path / "trip", {"a.jpg": b"a"})
    (folder / "sub").mkdir()
    os.mkfifo(folder / "sub" / "b.jpg")
    assert dataset_of(str(folder), settings).label == "none"
    fill(folder, {"sub/c.jpg": b"c"})
    assert dataset_of(str(folder), settings).label == "parent"


def test_a_lake_in_a_bucket_lies_in_no_folder(
    settings: Settings, s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "trip", {"a.jpg": b"a"})
    monkeypatch.chdir(folder)
    assert dataset_of(".", replace(settings, lake=f"s3://{BUCKET}/lake")).name == "trip"
