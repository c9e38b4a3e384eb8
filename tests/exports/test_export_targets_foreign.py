"""exports.targets: what no export made is left alone, and a target that was hardly meant is refused in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import ImageFeaturesError, InputError, ParamsError
from imagefeatures.exports import export, targets
from imagefeatures.settings import Settings
from support.exporting import exported, publish, rows_of


@pytest.fixture(autouse=True)
def _table(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(30))])


@pytest.mark.parametrize(("name", "format_"), [("out.npy", None), ("out/", "npy")])
@pytest.mark.parametrize("mark", [None, "mine", "a link", "a folder"])
def test_a_folder_that_no_export_made_is_left_alone(
    name: str, format_: str | None, mark: str | None, settings: Settings, place: Path
) -> None:
    own = place / f"{name.rstrip('/')}.part"
    own.mkdir()
    (own / "mine.txt").write_text("keep")
    (place / "notes").write_text("keep")
    if mark == "a link":
        (own / ".lock").symlink_to(place / "notes")
    elif mark == "a folder":
        (own / ".lock").mkdir()
    elif mark:
        (own / ".lock").write_text(mark)
    with pytest.raises(
        InputError, match=r"out.*\.part: was not made by an export, .*; move it, or choose another name"
    ):
        exported(settings, f"{place}/{name}", format=format_)
    assert (own / "mine.txt").read_text() == (place / "notes").read_text() == "keep"


@pytest.mark.parametrize("marked", [False, True])
def test_a_link_in_the_place_of_the_growing_folder_is_not_followed(
    marked: bool, settings: Settings, place: Path
) -> None:
    precious = place / "precious"
    precious.mkdir()
    (precious / "mine.txt").write_text("keep")
    if marked:
        (precious / ".lock").touch()
    (place / "out.npy.part").symlink_to(precious)
    with pytest.raises(InputError, match=r"out\.npy\.part: was not made by an export"):
        exported(settings, place / "out.npy")
    assert (precious / "mine.txt").read_text() == "keep"


def test_a_link_that_comes_in_the_place_of_the_lock_is_not_followed(
    settings: Settings, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "notes").write_text("keep")

    def look_then_link(part: Path) -> None:
        part.mkdir()
        (part / ".lock").symlink_to(place / "notes")

    monkeypatch.setattr(targets, "_check_own", look_then_link)
    with pytest.raises(ImageFeaturesError, match=r"out\.npy: "):
        exported(settings, place / "out.npy")
    assert (place / "notes").read_text() == "keep"


def test_a_link_that_a_killed_export_held_is_removed_and_not_followed(settings: Settings, place: Path) -> None:
    (place / "precious").mkdir()
    (place / "precious" / "mine.txt").write_text("keep")
    (place / "out.csv.part").mkdir()
    (place / "out.csv.part" / ".lock").touch()
    (place / "out.csv.part" / "link").symlink_to(place / "precious")
    exported(settings, place / "out.csv")
    assert sorted(path.name for path in place.iterdir()) == ["out.csv", "precious"]
    assert (place / "precious" / "mine.txt").read_text() == "keep"


def test_a_link_that_leads_nowhere_is_not_replaced(settings: Settings, place: Path) -> None:
    (place / "out.npy").symlink_to("nowhere")
    (place / "folder").symlink_to("nowhere")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"out\.npy: is no regular file, so it is not replaced; choose another"):
            exported(settings, place / "out.npy", overwrite=overwrite)
        with pytest.raises(InputError, match=r"folder: is a file, and the export is a folder"):
            exported(settings, f"{place}/folder/", format="npy", overwrite=overwrite)
    assert sorted(path.name for path in place.iterdir()) == ["folder", "out.npy"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_a_link_in_the_place_of_a_folder_is_told_before_anything_is_read(
    settings: Settings, place: Path, overwrite: bool, full: bool
) -> None:
    real = place / "real"
    real.mkdir()
    if full:
        exported(settings, f"{real}/", format="npy")
    before = sorted(real.rglob("*"))
    (place / "link").symlink_to(real)
    with pytest.raises(InputError, match=rf"^{place}/link: is a link, .* name {real}/ itself$"):
        export.prepare(settings, export.Request("nothing", f"{place}/link/", format="npy", overwrite=overwrite))
    assert sorted(real.rglob("*")) == before
    exported(settings, f"{real}/", format="npy", overwrite=True)


def test_an_export_whose_file_cannot_be_moved_leaves_none_beside_it(
    settings: Settings, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = targets.LocalFile._move

    def refused(self: targets.LocalFile, draft: Path, target: Path) -> None:
        if target.name == "out.npy":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        move(self, draft, target)

    monkeypatch.setattr(targets.LocalFile, "_move", refused)
    with pytest.raises(ImageFeaturesError, match=r"out\.npy: Input/output error"):
        exported(settings, place / "out.npy")
    assert list(place.iterdir()) == []


def test_the_components_of_the_file_that_is_replaced_go_with_it(settings: Settings, place: Path) -> None:
    exported(settings, place / "out.csv", components=3)
    assert sorted(path.name for path in place.iterdir()) == ["out.csv", "out.csv.pca.npz"]
    exported(settings, place / "out.csv", overwrite=True)
    assert [path.name for path in place.iterdir()] == ["out.csv"]


def test_only_a_regular_file_is_replaced(settings: Settings, place: Path) -> None:
    os.mkfifo(place / "out.csv")
    with pytest.raises(InputError, match=r"out\.csv: is no regular file, so it is not replaced"):
        exported(settings, place / "out.csv", overwrite=True)
    assert (place / "out.csv").is_fifo()
    (place / "out.parquet").mkdir()
    with pytest.raises(InputError, match=r"out\.parquet: is a folder, and the export has a file of this name"):
        exported(settings, place / "out.npy", overwrite=True)


@pytest.mark.parametrize(
    ("target", "request_", "says"),
    [
        ("/", {"format": "npy"}, "is the root of the file system; name a folder in it"),
        ("file:///", {"format": "npy"}, "is the root of the file system"),
        ("~nosuch/x.npy", {}, "there is no such user; write the path of the folder"),
        ("u\udcff.csv", {}, r"--to: u\\udcff\.csv: is not UTF-8"),
        ("u\0.csv", {}, r"--to: u\\x00\.csv: no name holds the character 0"),
        ("s3:/b/x.csv", {}, r"an address begins with s3://; a file of this name is \./s3:/b/x\.csv"),
        ("file:x.csv", {}, "an address begins with file://"),
        ("file://localhost/x.csv", {}, "the address of a file begins with file:///; name the whole path"),
        ("file://x.csv", {}, "the address of a file begins with file:///"),
        ("file://~/x/", {"format": "npy"}, "the address of a file begins with file:///"),
        ("-", {"format": "npy"}, "is not written to standard output; name a file"),
        (".lock", {"format": "csv"}, "an export needs this name itself"),
        (
            f"{'x' * 247}.csv",
            {},
            "--to: x{60}…: a name of 256 bytes, with what an export adds to it",
        ),
        (f"{'x' * 244}.csv", {"components": 2}, "a name of 256 bytes"),
        (f"{'ü' * 128}/x.csv", {}, "--to: ü{60}…: a name of 256 bytes"),
        (f"s3://b/{'k/' * 600}x.csv", {}, "a key of 1205 bytes; an object store takes 1024; choose a shorter one"),
        ("x.csv", {"columns": ("features",)}, "--columns: features are the vectors, which are always exported"),
        ("x.csv", {"columns": ("",)}, "--columns: features.photos has no column ''"),
    ],
)
def test_a_target_that_was_hardly_meant_is_refused_in_one_line(
    target: str,
    request_: dict[str, Any],
    says: str,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(ParamsError, match=says) as refused:
        exported(settings, target, **request_)
    assert str(refused.value).isprintable()
    assert set(tmp_path.iterdir()) == before


def test_the_longest_name_is_exported(settings: Settings, place: Path) -> None:
    name = f"{'x' * 246}.csv"  # with .part it has 255 bytes
    exported(settings, place / name)
    assert [path.name for path in place.iterdir()] == [name]


def test_the_bytes_of_a_hidden_file_are_told(settings: Settings, place: Path) -> None:
    ready = export.prepare(settings, export.Request("photos", str(place / ".npz"), format="npz"))
    assert ready.write() == (place / ".npz").stat().st_size
    assert len(np.load(place / ".npz")["features"]) == 30
