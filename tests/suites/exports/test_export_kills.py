"""An export that is killed at random moments: what has its name is whole, or not there. Here and in MinIO.

A suite of its own: make test-exports. EXPORT_KILLS says how many of each kind (20), SEED which moments (0).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from imagefeatures.storage.s3_upload import S3Upload
from support import pixel_tables
from support.exporting import scattered
from support.registering import held_back, let_go
from support.shared import BUCKET

KILLS = int(os.environ.get("EXPORT_KILLS") or "20")
SEED = int(os.environ.get("SEED") or "0")
ROWS = 4000

EXPORT = """
import os, sys
from imagefeatures.exports import export
from imagefeatures.settings import Settings
ready = export.prepare(Settings.from_env(), export.Request("photos", *sys.argv[1:]))
print("ready", flush=True)
sys.stdin.read(1)
ready.write()
os._exit(0)  # the end of Python takes longer than an export: most kills would come too late
"""

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def _table(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, ROWS, files=8, width=1280)
    pixel_tables.scattered(settings, tmp_path, ROWS // 2, files=8, kind=PixelFormat.of_shape((60, 60, 3)))


def exporting(target: str, *request: str) -> subprocess.Popen[str]:
    """A process that has prepared an export, and writes it once it is let go. request: format, and what."""
    return held_back(EXPORT, target, *request)


def seconds_of(target: str, *request: str) -> float:
    """How long an undisturbed export takes from when it is let go, and a bit: so that some are killed too late."""
    process = exporting(target, *request)
    began = let_go(process)
    assert process.wait(120) == 0
    return 1.1 * (time.perf_counter() - began)


def killed(process: subprocess.Popen[str], moments: random.Random, longest: float) -> float:
    """Let an export go, and kill it within so many seconds.

    Returns how long the next one may take: less, where this one was whole sooner, as on a machine that is less busy.
    """
    began = let_go(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moments.uniform(0, longest))
        return min(longest, 1.1 * (time.perf_counter() - began))
    process.kill()
    process.wait()
    return longest


def files_here(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "format_", "what", "last"),
    [
        ("out.h5", "hdf5", "features", "out.h5"),
        ("out.npy", "npy", "features", "out.npy"),
        ("out/", "npy", "features", "out/export.json"),
        ("out.h5", "hdf5", "pixels", "out.h5"),
        ("out.arrow", "arrow", "pixels", "out.arrow"),
        ("out/", "webdataset", "pixels", "out/export.json"),
    ],
)
def test_a_file_is_whole_or_absent(
    name: str, format_: str, what: str, last: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    place = tmp_path / "place"
    longest = min(
        seconds_of(f"{place}{other}/{name}", format_, what) for other in ("-first", "")
    )  # the first is slower
    true = files_here(place)
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        for path in true:
            (place / path).unlink(missing_ok=True)
        clean(place / "out")
        longest = killed(exporting(f"{place}/{name}", format_, what), moments, longest)
        found = {path: data for path, data in files_here(place).items() if ".part/" not in path}
        assert all(found[path] == true[path] for path in found)
        if last in found or name.endswith("/"):
            assert found.keys() in ({}.keys(), true.keys())
        seen["whole" if last in found else "absent"] += 1
    with capsys.disabled():
        print(f"\n{what} as {format_}, {name}, {KILLS} kills: {dict(seen)}")
    assert min(seen["whole"], seen["absent"]) > 0  # or the moments said nothing


def clean(folder: Path) -> None:
    """Remove a folder in which only folders are left."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    if folder.is_dir():
        folder.rmdir()


@pytest.mark.parametrize(("name", "format_"), [("out.h5", "hdf5"), ("out/", "npy")])
def test_an_object_is_whole_or_absent(
    name: str,
    format_: str,
    request: pytest.FixtureRequest,
    aws_env: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = request.getfixturevalue("_real_stores")("minio")
    aws_env.setenv("AWS_ENDPOINT_URL", server.address)
    moments = random.Random(SEED)
    place = f"s3://{BUCKET}/{tmp_path.name}"
    longest = min(seconds_of(f"{place}{other}/{name}", format_) for other in ("-first", ""))  # the first is slower
    true = objects(place)
    last = "out/export.json" if name.endswith("/") else name
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        for path in objects(place):
            S3Upload().delete(f"{place}/{path}".removeprefix("s3://"))
        longest = killed(exporting(f"{place}/{name}", format_), moments, longest)
        found = objects(place)
        marks = {path for path in found if path.endswith("unfinished.json")}
        assert all(found[path] == true[path] for path in found.keys() - marks)
        if last in found:
            assert found.keys() - marks == true.keys()
        seen["whole" if last in found else "absent"] += 1
    exported = exporting_over(f"{place}/{name}", format_, last in objects(place))
    assert exported == true
    with capsys.disabled():
        print(f"\ns3 {name} as {format_}, {KILLS} kills: {dict(seen)}")
    assert min(seen["whole"], seen["absent"]) > 0


def exporting_over(target: str, format_: str, there: bool) -> Files:
    """What is there after one more export over what the last kill left. there: it is whole already."""
    if not there:
        process = exporting(target, format_)
        let_go(process)
        assert process.wait(120) == 0
    return objects(target.rstrip("/").rpartition("/")[0])


def objects(place: str) -> Files:
    return {entry.uri.removeprefix(f"{place}/"): storage.read(entry.uri) for entry in storage.list_objects(place)}


def test_the_list_of_a_folder_names_its_files(settings: Settings, tmp_path: Path) -> None:
    process = exporting(f"{tmp_path}/out/", "webdataset")
    let_go(process)
    assert process.wait(120) == 0
    listed = json.loads((tmp_path / "out" / "export.json").read_text())["files"]
    assert listed == {name: len(data) for name, data in files_here(tmp_path / "out").items() if name != "export.json"}
