"""`imagefeatures audit`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from imagefeatures import cli, spreadsheets
from imagefeatures.audits.duplicates import PAIRS
from imagefeatures.audits.labels import DOUBTS
from imagefeatures.settings import REPOSITORY, Settings
from support.auditing import direction, jpeg_of, photos, scene
from support.publishing import DAY
from support.snippets import plain, section

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
        f"{target}/labels.parquet: 4 rows",
        f"{target}/duplicates.csv: 2 rows",
        f"{target}/duplicates.parquet: 2 rows",
    ]
    labels = pyarrow.csv.read_csv(
        target / "labels.csv", parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
    ).to_pylist()
    assert labels[0]["neighbours"] == f"{folder}/a.jpg\n{folder}/c.jpg"
    assert [row["kind"] for row in pyarrow.csv.read_csv(target / "duplicates.csv").to_pylist()] == ["exact", "near"]


def test_programs_have_the_same_rows_as_typed_columns(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files" / "b.jpg").unlink()  # its pixels can be compared no more; its cosine is above SURE
    assert cli.main(["audit", "photos", "--to", "found"]) == 0
    labels, duplicates = (pq.read_table(f"found/{name}.parquet") for name in ("labels", "duplicates"))
    assert columns_of(labels) == {
        "uri": "string", "image_id": "string", "partition_key": "string", "label": "string", "suggested": "string",
        "doubt": "double", "neighbours": "list<element: string>",
    }  # fmt: skip
    assert columns_of(duplicates) == {
        "group": "int64", "kind": "string", "uri": "string", "other_uri": "string", "label": "string",
        "other_label": "string", "partition_key": "string", "other_partition_key": "string", "cosine": "double",
        "overlap": "double",
    }  # fmt: skip
    a, b, c, d = (f"{folder}/{name}" for name in NAMES)
    first = labels.to_pylist()[0]
    assert (first["uri"], first["label"], first["suggested"], first["doubt"]) == (b, "pear", "fig", 1.0)
    assert [row["neighbours"] for row in labels.to_pylist()] == [[a, c], [b, c], [b, a], [b, a]]
    exact, *near = duplicates.to_pylist()
    assert exact == {
        "group": 1, "kind": "exact", "uri": c, "other_uri": d, "label": "fig", "other_label": "fig",
        "partition_key": DAY, "other_partition_key": DAY, "cosine": 1.0, "overlap": 1.0,
    }  # fmt: skip
    assert [(row["group"], row["kind"], row["uri"], row["other_uri"]) for row in near] == [
        (1, "near", a, b),
        (1, "near", b, c),
    ]
    assert [row["cosine"] for row in near] == pytest.approx(np.cos(np.radians([3, 6])), abs=1e-6)
    assert [row["overlap"] for row in near] == [None, None]
    ((language, query),) = section(REPOSITORY / "docs" / "audits.md", "For programs").blocks
    assert language == "sql"
    with duckdb.connect() as connection:  # not the one that all tests of this process share
        assert connection.sql(query).fetchall() == []  # b.jpg is the copy of another
        assert connection.sql(query.replace("0.9", "0.4")).fetchall() == [(a, "fig", "pear", b)]


def columns_of(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_the_documents_name_each_column_of_the_parquet_files_with_its_type() -> None:
    for documented, schema in zip(
        section(REPOSITORY / "docs" / "audits.md", "For programs").tables, (DOUBTS, PAIRS), strict=True
    ):
        types = {name: plain(kind) for names, kind, _ in documented for name in plain(names).split(", ")}
        assert types == {field.name: str(field.type).replace("item: ", "") for field in schema}


def test_forgetting_takes_each_file_of_an_audit_that_names_the_image(settings: Settings, tmp_path: Path) -> None:
    vectors = [direction(degrees) for degrees in (0, 40, 80)]
    rows = [(name, name.encode(), label, vector) for name, label, vector in zip(NAMES, "xyx", vectors, strict=False)]
    photos(settings, tmp_path, rows)
    lake = Path(settings.lake.removeprefix("file://"))
    audit, image_id, uri = lake / "audit", hashlib.sha256(b"b.jpg").hexdigest(), f"file://{tmp_path}/files/b.jpg"
    assert cli.main(["audit", "photos", "--to", str(audit), "--neighbours", "1"]) == 0
    whole = pq.read_table(audit / "labels.parquet")
    only = whole.filter([uri.endswith("a.jpg") for uri in whole["uri"].to_pylist()])
    assert only["neighbours"].to_pylist() == [[uri]]
    pq.write_table(only, audit / "neighbour.parquet", compression="zstd", write_statistics=False)
    pq.write_table(whole.filter(pa.array([False] * 3)), audit / "other.parquet")
    assert cli.main(["forget", "--image-id", image_id, "--uri", uri, "--why", "a test"]) == 0
    assert sorted(path.name for path in audit.iterdir()) == [
        "duplicates.csv",
        "duplicates.parquet",
        "other.parquet",
        "search.json",
    ]


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
    assert sorted(path.name for path in tmp_path.glob("*labels*")) == ["labels.csv", "labels.parquet"]
    exact = pq.read_table(tmp_path / "labels.parquet")["neighbours"].to_pylist()
    assert sorted(uri.rpartition("/")[2] for (uri,) in exact) == sorted(names)


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
