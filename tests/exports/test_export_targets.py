"""exports.targets: a whole file under its name or none, nothing replaced unasked, one export of a name at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures.errors import InputError, ParamsError, StoreRefused
from imagefeatures.exports import export, targets
from imagefeatures.settings import Settings
from support.exporting import exported, publish, rows_of


@pytest.fixture(autouse=True)
def _table(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(30))])


def prepared(settings: Settings, target: Any, **request: Any) -> export.Export:
    return export.prepare(settings, export.Request("photos", str(target), **request))


def test_nothing_is_replaced_unless_it_is_asked_for(settings: Settings, place: Path) -> None:
    exported(settings, place / "out.npy")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    assert sorted(before) == ["out.npy", "out.parquet"]
    with pytest.raises(InputError, match=r"place/out\.parquet: exists; --overwrite replaces it"):
        exported(settings, place / "out.npy")
    (place / "out.parquet").unlink()
    with pytest.raises(InputError, match=r"place/out\.npy: exists"):
        exported(settings, place / "out.npy")
    exported(settings, place / "out.npy", overwrite=True)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_what_has_come_there_meanwhile_is_not_replaced(settings: Settings, place: Path) -> None:
    ready = prepared(settings, place / "out.csv")
    (place / "out.csv").write_text("somebody's")
    with pytest.raises(InputError, match=r"out\.csv: exists"):
        ready.write()
    draft = place / "draft"
    draft.write_text("ours")
    with pytest.raises(InputError, match=r"out\.csv: exists"):
        targets.LocalFile(place / "out.csv", ["out.csv"], False)._move(draft, place / "out.csv")
    draft.unlink()
    assert [path.name for path in place.iterdir()] == ["out.csv"]
    assert (place / "out.csv").read_text() == "somebody's"


def test_an_export_that_fails_leaves_nothing(settings: Settings, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "kept.h5").write_text("old")
    ready = prepared(settings, place / "kept.h5", overwrite=True)

    def full(what: str, done: int, whole: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreRefused, match=r"kept\.h5: no space left on its file system"):
        ready.write(full)
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [("kept.h5", "old")]


def test_what_a_killed_export_left_is_removed_by_the_next_one(settings: Settings, place: Path) -> None:
    left = place / "out.csv.part"
    (left / "sub").mkdir(parents=True)
    (left / ".lock").touch()
    (left / "out.csv").write_text("half")
    exported(settings, place / "out.csv")
    assert [path.name for path in place.iterdir()] == ["out.csv"]
    assert len((place / "out.csv").read_text().splitlines()) == 31


def test_two_exports_of_one_name_at_once_are_refused(settings: Settings, place: Path) -> None:
    first, second = (prepared(settings, place / "out.csv") for _ in range(2))

    def other(what: str, done: int, whole: int) -> None:
        with pytest.raises(InputError, match=r"out\.csv: another export writes it now"):
            second.write()

    first.write(other)
    assert len((place / "out.csv").read_text().splitlines()) == 31


def test_no_room_is_told_before_the_first_row(settings: Settings, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreRefused, match=r"the export takes about 0 MB, and 0 MB are free; free some space"):
        exported(settings, place / "out.csv")
    assert not (place / "out.csv").exists()


def test_a_folder_appears_whole_and_only_an_export_is_replaced(settings: Settings, place: Path) -> None:
    folder = place / "out"
    folder.mkdir()  # an empty one is no obstacle
    exported(settings, f"{folder}/", format="npy")
    names = {"export.json", "img_emb/img_emb_0000.npy", "metadata/metadata_0000.parquet"}
    assert found(folder) == names
    with pytest.raises(InputError, match=r"place/out: exists"):
        exported(settings, f"{folder}/", format="npy")
    publish(settings, place.parent, [rows_of(range(5))])
    exported(settings, f"{folder}/", format="npy", overwrite=True)
    assert found(folder) == names
    assert len(np.load(folder / "img_emb" / "img_emb_0000.npy")) == 5
    assert [path.name for path in place.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_not_replaced(settings: Settings, place: Path) -> None:
    (place / "photo.jpg").write_bytes(b"mine")
    again = {"format": "webdataset", "overwrite": True}
    with pytest.raises(InputError, match=r"place: is no export, so it is not replaced"):
        exported(settings, f"{place}/", **again)
    (place / "export.json").write_text(json.dumps({"files": {}}))
    with pytest.raises(InputError, match=r"place: holds photo\.jpg, which is not of an export"):
        exported(settings, f"{place}/", **again)
    (place / "file").write_text("")
    with pytest.raises(InputError, match=r"place/file: is a file, and the export is a folder"):
        exported(settings, f"{place}/file/", **again)
    assert found(place) == {"photo.jpg", "export.json", "file"}


def found(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("target", "request_", "says"),
    [
        ("out.xlsx", {}, r"--to: out\.xlsx: no format has the suffix \.xlsx; there are \.h5, "),
        ("out.hdf", {}, r"no format has the suffix \.hdf \(did you mean \.hdf5\?\)"),
        ("out", {}, r"--to: out: no suffix says the format; add one of \.h5, .*, or --format"),
        ("out", {"format": "hdf"}, r"--format: no format 'hdf' \(did you mean hdf5\?\)"),
        ("out/", {"format": "csv"}, r"csv is one file, such as out/features\.csv; a folder takes --format npy or web"),
        ("out.h5", {"flat": True}, r"--flatten: hdf5 has no columns of single values; csv, parquet, arrow have"),
        ("gs://b/out.h5", {}, r"--to: gs://b/out\.h5: neither a path, file:// nor s3://"),
        ("s3://out.h5", {}, r"name a key in the bucket"),
        ("out.parquet", {"format": "npy"}, r"out\.parquet is also the name of the file beside it"),
        ("out.csv", {"columns": ("urn",)}, r"--columns: features\.photos has no column 'urn' \(did you mean uri\?\)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    target: str, request_: dict[str, Any], says: str, settings: Settings
) -> None:
    with pytest.raises(ParamsError, match=says) as refused:
        prepared(settings, target, **request_)
    assert "\n" not in str(refused.value)


def test_a_folder_in_the_place_of_a_file_is_told(settings: Settings, place: Path) -> None:
    with pytest.raises(ParamsError, match=r"place is a folder; name a file in it, or end the name of a folder with /"):
        exported(settings, place, format="npy")


def test_a_killed_export_leaves_no_file(settings: Settings, place: Path) -> None:
    program = (
        "import sys, time\n"
        "from imagefeatures.exports import export\n"
        "from imagefeatures.settings import Settings\n"
        "def wait(what, done, whole):\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
        "export.prepare(Settings.from_env(), export.Request('photos', sys.argv[1])).write(wait)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(place / "out.h5")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [path.name for path in place.iterdir()] == ["out.h5.part"]
    began = time.monotonic()
    exported(settings, place / "out.h5")  # the lock has ended with its process
    assert time.monotonic() - began < 30
    assert [path.name for path in place.iterdir()] == ["out.h5"]
