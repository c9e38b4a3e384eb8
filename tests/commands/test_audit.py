"""`imagefeatures audit`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow.csv
import pytest

from imagefeatures import cli, spreadsheets
from imagefeatures.settings import Settings
from support.auditing import direction, jpeg_of, photos, scene

NAMES = "a.jpg", "b.jpg", "c.jpg", "d.jpg"


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> str:
    pictures = [jpeg_of(scene(1)), jpeg_of(scene(1), 40), jpeg_of(scene(2)), jpeg_of(scene(2))]
    labels = ["fig", "pear", "fig", "fig"]
    vectors = map(direction, [0, 3, 9, 9])
    photos(settings, tmp_path, list(zip(NAMES, pictures, labels, vectors, strict=True)))
    return f"file://{tmp_path}/files"


def test_both_tables_are_printed_and_written(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a" / "b"
    assert cli.main(["audit", "photos", "--to", str(target)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("features.photos, snapshot ")
    assert first.endswith(": 4 photos, 3 different images")
    assert lines == [
        "neighbours: each image was compared with each other one",
        "labels: 4 photos have a neighbour with another label, 1 of them no other neighbour",
        f"  100%  {folder}/b.jpg  is pear, its neighbours are fig",
        f"  50%  {folder}/a.jpg  is fig, its neighbours are pear",
        f"  50%  {folder}/c.jpg  is fig, its neighbours are pear",
        f"  50%  {folder}/d.jpg  is fig, its neighbours are pear",
        "duplicates: 1 pairs of equal bytes, 1 of the same picture; 1 of all have two labels",
        f"  1  exact  {folder}/c.jpg  {folder}/d.jpg",
        f"  2  near  {folder}/a.jpg  {folder}/b.jpg  fig and pear",
        f"{target}/labels.csv: 4 rows",
        f"{target}/duplicates.csv: 2 rows",
    ]
    labels = pyarrow.csv.read_csv(
        target / "labels.csv", parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
    ).to_pylist()
    assert labels[0]["neighbours"] == f"{folder}/a.jpg\n{folder}/c.jpg"
    assert [row["kind"] for row in pyarrow.csv.read_csv(target / "duplicates.csv").to_pylist()] == ["exact", "near"]


def test_without_labels_only_duplicates_are_looked_for(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(settings, tmp_path, [("a.jpg", b"a", None, direction(0))])
    assert cli.main(["audit", "photos"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "neighbours: each image was compared with each other one",
        "labels: there are none",
        "duplicates: 0 pairs of equal bytes, 0 of the same picture; 0 of all have two labels",
    ]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["photo s"], "DATASET: 'photo s' cannot be one"),
        (["photos", "--neighbours", "0"], "--neighbours: 0 is not between 1 and 1000"),
        (["photos", "--neighbours", "1001"], "--neighbours: 1001 is not between 1 and 1000"),
        (["photos", "--cosine", "1.5"], "--cosine: 1.5 is not above 0 and at most 1"),
        (["photos", "--cosine", "nan"], "--cosine: nan is not above 0 and at most 1"),
        (["photos", "--partition", "2026-12-24"], "features.photos has no photos here"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_is_refused(arguments: list[str], refusal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", *arguments]) == 65
    assert refusal in capsys.readouterr().err


def test_a_line_break_in_a_name_stays_in_its_line_and_an_earlier_table_is_replaced_whole(
    settings: Settings, tmp_path: Path
) -> None:
    names = [f"a{chr(10)}b.jpg", "c.jpg"]
    rows = [(name, name.encode(), label, direction(0)) for name, label in zip(names, "xy", strict=True)]
    photos(settings, tmp_path, rows)
    (tmp_path / "labels.csv").write_text("before")
    assert cli.main(["audit", "photos", "--to", str(tmp_path)]) == 0
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    rows = pyarrow.csv.read_csv(tmp_path / "labels.csv", parse_options=options).to_pylist()
    assert sorted(row["neighbours"].rpartition("/")[2] for row in rows) == [r"a\nb.jpg", "c.jpg"]
    assert sorted(path.name for path in tmp_path.glob("*.csv*")) == ["duplicates.csv", "labels.csv"]


def test_no_label_becomes_a_formula_in_a_spreadsheet_and_each_can_be_had_back(
    settings: Settings, tmp_path: Path
) -> None:
    odd = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''", "a=1", "12"]
    odd += ["a;=1", "a\t=1", "\t\t=1", "a;'=1", ";;@x", "a; =1"]
    rows = [(f"{at}.jpg", b"same", label, direction(0)) for at, label in enumerate([*odd, None])]
    rows += [(f"other {at}.jpg", b"other %d" % at, label, direction(0)) for at, label in enumerate(odd)]
    photos(settings, tmp_path, rows)
    assert cli.main(["audit", "photos", "--to", str(tmp_path)]) == 0
    written: list[dict[str, str]] = []
    for name in ("labels", "duplicates"):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
            written += csv.DictReader(lines)
    assert not any(cell[:1] in {*"=+-@\t\r\n＝"} for row in written for cell in row.values() if cell)
    cells = {cell for row in written for cell in row.values() if cell}
    assert not any(part[:1] in {*"=+-@＝"} for cell in cells for part in re.split("[;\t]", cell))
    labels = {row["label"] for row in written if row["label"]}
    assert {"'=1+1", "''=1", "'''", "a=1", "12"} <= labels
    assert {spreadsheets.text(cell) for cell in labels} == {*odd}
    others = {row[name] for row in written for name in ("suggested", "other_label") if row.get(name)}
    assert {spreadsheets.text(cell) for cell in others} <= {*odd}
