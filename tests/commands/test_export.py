"""`imagefeatures export`: what it says, what it refuses, and how its progress is shown."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import cli
from imagefeatures.commands import export
from imagefeatures.settings import Settings
from support.exporting import publish, rows_of, scattered
from support.reading import NEXT_DAY


@pytest.fixture(autouse=True)
def _table(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 200)
    publish(settings, tmp_path, [rows_of(range(8), NEXT_DAY)], NEXT_DAY)


def test_it_says_the_size_before_and_what_is_there_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "out.npy")
    assert cli.main(["export", "photos", "--to", target, "--partition", NEXT_DAY, "--label", "pear"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("2 rows of 24 features, snapshot ")
    assert "as npy (not compressed): about " in first
    assert last.startswith(f"{target}: ")
    assert np.load(target).shape == (2, 24)


def test_a_file_uri_is_a_path(tmp_path: Path) -> None:
    assert cli.main(["export", "photos", "--to", f"file://{tmp_path}/ä b.csv", "--columns", "etag, size"]) == 0
    assert (tmp_path / "ä b.csv").read_text().splitlines()[0] == '"uri","label","size","etag","features"'


def test_what_components_explain_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--pca", "6", "--flatten", "--to", str(tmp_path / "out.csv")]
    assert cli.main(["export", "photos", *arguments]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("6 components explain ")
    assert said[1].startswith("208 rows of 6 components, ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["photos", "--to", "x.h6"], "--to: x.h6: no format has the suffix .h6 (did you mean .h5?)"),
        (["photos", "--to", "x.h5", "--what", "labels"], "--what: 'labels' cannot be exported; features or pixels can"),
        (["photos", "--to", "x.h5", "--what", "pixels"], "features.photos_pixels: no pixels are published; `pixels: k"),
        (["photos", "--to", "x.csv", "--what", "pixels"], "--what pixels: csv holds no pixels; hdf5, npy, npz, tfreco"),
        (["photos", "--to", "x.h5", "--what", "pixels", "--pca", "3"], "--pca: is for vectors; leave it out with --wh"),
        (["photos", "--to", "x.arrow", "--what", "pixels", "--flatten"], "--flatten: is for vectors; leave it out wit"),
        (["photos", "--to", "x/", "--format", "npy", "--what", "pixels"], "npy of pixels is one file; a folder takes "),
        (["photos", "--to", "x.h5", "--what", "pixels", "--columns", "model"], "features.photos_pixels has no column "),
        (["photos", "--to", "x.h5", "--what", "pixels", "--columns", "pixels"], "--columns: pixels are always exporte"),
        (["photos", "--to", "x.tar", "--originals"], "--originals: is for --what pixels in the format webdataset"),
        (["photos", "--to", "x.h5", "--what", "pixels", "--originals"], "--originals: is for --what pixels in t"),
        (["photos", "--to", "x.h5", "--what", "pixels", "--model", "vgg16"], "--model: pixels are of no model; leave"),
        (["Photos!", "--to", "x.h5"], "DATASET: 'Photos!' cannot be one"),
        (["plum", "--to", "x.h5"], "features.plum: no such dataset is published; there are: photos"),
        (["photos", "--to", "x.h5", "--snapshot", "7"], "features.photos: no snapshot 7; it may have expired"),
        (["photos", "--to", "x.h5", "--pca", "0"], "--pca: must be at least 1 (got 0)"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", *arguments]) == 65
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.glob("x.h5*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Flushed(Terminal):
    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def test_progress_is_one_line_on_a_terminal_and_a_line_every_two_seconds_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outs = (Terminal(), io.StringIO())
    for out in outs:
        clock = iter(np.arange(0, 100, 0.5).tolist())
        monkeypatch.setattr(export.time, "monotonic", lambda clock=clock: next(clock))
        progress = export.Progress(out)
        for done in range(0, 900, 100):
            progress.update("writing", done, 800)
        progress.end()
    terminal, lines = (out.getvalue() for out in outs)
    assert terminal.count("\r") == 8 + 1
    assert "\n" not in terminal
    assert lines == "writing  50%  400 of 800  2 s left\nwriting 100%  800 of 800  0 s left\n"


def test_progress_is_reckoned_from_where_it_began_and_cleared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(export.time, "monotonic", lambda: now[0])
    out = Flushed()
    progress = export.Progress(out)
    progress.end()
    assert out.getvalue() == ""  # nothing is drawn
    for seconds, done in ((0, 0), (0.19, 1), (4, 0), (4.1, 3)):
        now[0] = 100 + seconds
        progress.update("reading", done, 800)
    assert out.getvalue() == "\rreading   0%  0 of 800  3,200 s left\x1b[K"
    now[0] = 105.0
    progress.update("writing", 0, 800)  # another thing: it begins now
    cleared = "\r\x1b[K"
    assert out.getvalue().endswith(f"s left\x1b[K{cleared}")
    now[0] = 108.0
    progress.update("writing", 200, 800)
    assert out.getvalue().endswith("\rwriting  25%  200 of 800  9 s left\x1b[K")
    progress.end()
    progress.end()
    assert out.getvalue().endswith(f"left\x1b[K{cleared}")
    assert out.flushes == 4


def test_progress_is_cleared_before_a_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = Terminal()
    monkeypatch.setattr(export, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", out)
    assert cli.main(["export", "photos", "--to", str(tmp_path / "out.csv"), "--pca", "6"]) == 0
    parts = out.getvalue().split("\r\x1b[K")
    assert parts[-1].startswith(f"{tmp_path}/out.csv: ")
    (said,) = (part for part in parts if part.startswith("6 components explain "))
    shares = said.splitlines()[0].partition("the first ones ")[2]
    assert len(shares.split(", ")) == 5


def test_vectors_of_a_model_that_is_not_published_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["export", "photos", "--to", str(tmp_path / "x.h5"), "--model", "vgg16"]) == 65
    assert "features.photos: no vectors of vgg16 are published" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "words"),
    [(999, "999 bytes"), (1000, "1.0 kB"), (10**6, "1.0 MB"), (10**9, "1.0 GB"), (10**13, "10,000.0 GB")],
)
def test_bytes_are_said_in_the_largest_unit_that_they_fill(count: int, words: str) -> None:
    assert export.in_words(count) == words


def test_help_names_every_format_and_suffix(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for word in (".h5", ".tar", "webdataset", "--pca", "--flatten", "s3://"):
        assert word in said
