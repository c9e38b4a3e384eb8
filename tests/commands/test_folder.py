"""`imagefeatures folder`: real folders with all that lies in them, to a table, a picture and readable lines."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagefeatures import read, storage
from imagefeatures import settings as settings_module
from imagefeatures.cli import main
from imagefeatures.commands import folder as folder_module
from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import EXIT_INPUT_ERROR
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings, program
from support.making import make
from support.photos import encoded, fill, jpeg, picture, real_photos

Out = list[str]

ODD_NAMES = (
    "it's 100% – “odd” #1?.jpg",
    "日本/π & +20%.png",
    "שבת/new\nline.webp",
    "-rf/ $HOME.jpg",
    "日本/{partition}.jpg",
)


@pytest.fixture(autouse=True)
def _model(lake_with_model: str) -> None:
    """Every lake of these tests has the model."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five good images with odd names, two real photos, and what else lies in folders of photos."""
    image = picture(90, 60, 3)
    made = [jpeg(1), encoded(image, "PNG"), encoded(image, "WEBP"), jpeg(2), jpeg(3)]
    files = dict(zip(ODD_NAMES, made, strict=True))
    files |= {f"日本/{path.name}": path.read_bytes() for path in real_photos()}
    files |= {
        ".DS_Store": b"\0\0\0\1Bud1", "日本/._1.jpg": b"\0\5\26\7", "Thumbs.db": b"\xd0\xcf\x11\xe0",
        "notes.txt": b"no picture", "film.mp4": b"\0\0\0\x18ftypmp42", "z.html": b"<html>",
        "read.md": b"# no picture", "song.mp3": b"ID3\4",
        "cut.jpg": jpeg(4)[:300], "empty.gif": b"",
    }  # fmt: skip
    fill(tmp_path / "My Photos", files)
    (tmp_path / "My Photos" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(5))
    return tmp_path / "My Photos"


def folder_command(path: Path | str, picture: Path, *more: str) -> int:
    return main(["folder", "--workers", "1", "--picture", str(picture), *more, "--", str(path)])


def test_a_folder_becomes_a_table_a_picture_and_a_list_of_what_was_rejected(
    folder: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert folder_command(f"{folder}/", tmp_path / "out" / "a.png") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{folder}/ to features.my_photos, labels are the names of its subfolders; in this process"
    (counts,) = (line for line in out if line.startswith("15 files = 7 images with features + 8 rejected, in "))
    assert "3 objects passed over that systems and tools leave beside photos, such as .DS_Store" in out
    assert counts.endswith(" files/s)")
    rows = read.table(settings, "my_photos").to_pylist()
    labels = {row["uri"].removeprefix(f"file://{folder}/"): row["label"] for row in rows}
    assert {name: labels[name] for name in ODD_NAMES} == dict(
        zip(ODD_NAMES, ("My Photos", "日本", "שבת", "-rf", "日本"), strict=True)
    )
    assert {row["partition_key"] for row in rows} == {"all"}
    check_rejected(out)
    check_python(out, 7, 8)
    with Image.open(tmp_path / "out" / "a.png") as drawn:
        assert drawn.size == (2048, 1152)
    assert f"The picture: {tmp_path}/out/a.png" in out
    check_dataset_file(out, settings)


def check_rejected(out: Out) -> None:
    """Each reason with its count and examples."""
    start = out.index("Rejected:")
    listed = out[start + 1 : out.index(f"  To see all of them, with {program('python')}:")]
    assert listed[0] == "  5 × UNSUPPORTED_FORMAT"
    for name, line in zip(["film.mp4", "notes.txt", "read.md", "song.mp3"], listed[1:5], strict=True):
        assert line.startswith(f"      {name}: found ")
    assert listed[5] == "      … and 1 more"
    rest = "\n".join(listed[6:])
    for text in ("1 × TRUNCATED", "cut.jpg: ", "1 × EMPTY_OBJECT", "empty.gif: it has 0 bytes", "1 × BAD_KEY"):
        assert text in rest
    assert "caf\\udce9.jpg: its name is not UTF-8" in rest


def check_python(out: Out, registered: int, quarantined: int) -> None:
    """The printed lines of Python are run as they stand."""
    snippets = [block for block in blocks(out) if "read.table" in block]
    found: list[Any] = []
    for code in snippets:
        names: dict[str, Any] = {}
        exec(code, names)
        found.append(names["rows"])
    rejected, rows = found
    assert len(rejected) == quarantined
    assert {row["reason"] for row in rejected} == {"UNSUPPORTED_FORMAT", "TRUNCATED", "EMPTY_OBJECT", "BAD_KEY"}
    assert rows.num_rows == registered


def check_dataset_file(out: Out, settings: Settings) -> None:
    (where,) = (line for line in out if line.startswith("To have it in Airflow too, save this as "))
    path = Path(where.removeprefix("To have it in Airflow too, save this as ").removesuffix(":"))
    assert path == settings.datasets / "my_photos.yaml"
    (text,) = (block for block in blocks(out) if block.startswith("# Each run takes the whole folder"))
    path.write_text(text, encoding="utf-8")
    assert load_dataset(path).schedule is None  # each day would publish the same photos once more


def blocks(out: Out) -> list[str]:
    """What is printed four columns in, with an empty line before and after."""
    text = "\n".join(out) + "\n"
    parts = [part for part in text.split("\n\n") if part.startswith("    ")]
    return [textwrap.dedent(part) + "\n" for part in parts]


def test_a_second_run_replaces_the_rows_and_computes_only_what_is_new(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "two", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    assert folder_command(folder, tmp_path / "two.png") == 0
    assert "known from before" not in capsys.readouterr().out
    (folder / "a.jpg").unlink()
    fill(folder, {"c.jpg": jpeg(3)})
    assert folder_command(folder, tmp_path / "two.png") == 0
    assert "; vectors known from before: 1" in capsys.readouterr().out
    rows = read.table(settings, "two").to_pylist()
    assert sorted(Path(row["uri"]).name for row in rows) == ["b.jpg", "c.jpg"]
    assert {row["label"] for row in rows} == {None}


def test_two_folders_of_one_name_are_two_tables(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (fill(tmp_path / at / "photos", {"a.jpg": jpeg(1)}) for at in ("one", "other"))
    for path in (one, other, one):
        assert folder_command(path, tmp_path / "x.png") == 0
    out = capsys.readouterr().out.splitlines()
    names = [line.split(" to features.")[1].split(",")[0] for line in out if " to features." in line]
    assert names[0] == names[2] == "photos"
    assert names[1].startswith("photos_")
    assert [read.table(settings, name).num_rows for name in names] == [1, 1, 1]


def test_an_unfinished_run_of_another_source_is_not_resumed(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = fill(tmp_path / "trip", {"1.jpg": jpeg(1)})
    fill(tmp_path / "elsewhere", {"1.jpg": jpeg(2)})
    elsewhere = Dataset.model_validate({"name": "trip", "source": f"file://{tmp_path}/elsewhere/"})
    plan_run(elsewhere, RunParams(), "all", settings)
    assert folder_command(photos, tmp_path / "a.png", "--resume") == EXIT_INPUT_ERROR
    err = capsys.readouterr().err
    assert "--resume: the unfinished run of trip is of file://" in err
    assert err.count("\n") == 1
    assert read.runs(settings) == []


def test_a_reader_that_goes_away_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    photos = fill(tmp_path / "trip", {"1.jpg": jpeg(1)})
    command = [sys.executable, "-m", "imagefeatures.cli", "folder", "--workers", "1", str(photos)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1


def test_a_folder_of_bad_files_alone_is_an_error_that_lists_them(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"empty.jpg": b"", "text.jpg": b"no picture", "sub/cut.png": encoded(picture())[:99]}
    folder = fill(tmp_path / "bad", files)
    assert folder_command(folder, tmp_path / "bad.png") == EXIT_INPUT_ERROR
    out, err = capsys.readouterr()
    assert err == f"imagefeatures: none of the 3 files in {folder}/ is a good image\n"
    assert "      text.jpg: found " in out
    assert "To see all of them" not in out  # they are in no table
    assert read.runs(settings) == []
    assert not (tmp_path / "bad.png").exists()
    assert list(storage.list_objects(f"{settings.lake}/staging")) == []


def test_a_picture_that_cannot_be_drawn_costs_only_the_picture(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "one", {"a.jpg": jpeg(1)})
    assert folder_command(folder, tmp_path / "one" / "a.jpg" / "x.png") == 0
    assert "The picture could not be drawn: " in capsys.readouterr().out
    assert read.table(settings, "one").num_rows == 1


@pytest.mark.parametrize("cwd", ["elsewhere", "photos", "photos/sub"])
def test_an_installed_package_needs_neither_a_checkout_nor_a_datasets_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cwd: str
) -> None:
    for module in (folder_module, settings_module):
        monkeypatch.setattr(module, "REPOSITORY", tmp_path / "site-packages")
    monkeypatch.delenv("IMAGEFEATURES_DATASETS")
    folder = fill(tmp_path / "photos", {"sub/a.jpg": jpeg(1)})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / cwd)
    assert main(["folder", "--workers", "1", str(folder)]) == 0
    picture = tmp_path / ("elsewhere" if cwd == "elsewhere" else "") / "photos.png"
    assert f"The picture: {picture}" in (out := capsys.readouterr().out)
    assert picture.is_file()
    assert "save this as datasets/photos.yaml:" in out


def test_a_refused_folder_is_one_line_and_status_65(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder_command(tmp_path / "no\nwhere", tmp_path / "x.png") == EXIT_INPUT_ERROR
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("imagefeatures: there is no folder ")


def test_make_hands_the_folder_on_as_it_was_typed(tmp_path: Path) -> None:
    program = tmp_path / "imagefeatures"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    features = ("features", f"BIN={tmp_path}", "-o", "setup")
    typed = '~/it\'s a "b"; `c` & #1 – é'
    done = make(*features, f"FOLDER={typed}")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["folder", "--", typed])
    done = make(*features)
    assert (done.returncode, done.stdout) == (2, 'say which: make features FOLDER="~/My Photos"\n')
