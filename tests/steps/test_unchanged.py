"""Versions of URLs in files of the table, row by row: which are asked about, and which are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import manifest, sealed, storage
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import reuse, unchanged
from imagefeatures.steps.reuse import KnownFile
from support.photos import fill
from support.shared import SPEC, MakeRun

SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("etag", pa.string()),
        ("size", pa.int64()),
        *reuse.KNOWN,
        ("run_id", pa.string()),
    ]
)


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run over a list of two URLs, an object, and what is no address."""
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    lines = ["http://a.org/1.jpg", "HTTPS://a.org/2.jpg", "s3://bucket/3.jpg", "http://a.org/\0.jpg", "no address"]
    fill(tmp_path, {"list.txt": "\n".join(lines).encode()})
    return make_run({"kind": "uri_list", "uri": f"file://{tmp_path}/list.txt"}, {"shard_images": 100}, label="none")


def row(run: Run, uri: str | None, **fields: Any) -> dict[str, Any]:
    """A row of the table as a run writes it."""
    as_written = {
        "uri": uri,
        "etag": '"v1"',
        "size": 100,
        "image_id": "a" * 64,
        "width": 10,
        "height": 20,
        "mode": "RGB",
        "copy": 0,
        "model": SPEC.name,
        "fingerprint": run.outputs[0].fingerprint,
        "features": [1.0] * SPEC.width,
        "run_id": "20261103T",
    }
    return as_written | fields


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def file_of(path: Path, rows: list[dict[str, Any]]) -> KnownFile:
    """A file of the table, of two rows in each row group."""
    pq.write_table(table_of(rows), path, row_group_size=2)
    return KnownFile(f"file://{path}", path.stat().st_size)


def test_rows_with_a_version_and_the_fingerprint_are_found_where_they_are(run: Run, tmp_path: Path) -> None:
    rows = [
        row(run, "http://a.org/0.jpg"),
        row(run, "http://a.org/no-version.jpg", etag=None),
        row(run, "http://a.org/2.jpg", run_id=None),
        row(run, "http://a.org/other.jpg", fingerprint="other"),
        row(run, "s3://bucket/4.jpg"),
        row(run, None),
        row(run, "http://a.org/copy.jpg", copy=1),
        row(run, "https://a.org/7.jpg", copy=None),
        row(run, "ftp://a.org/8.jpg"),
        row(run, "HTTP://a.org/9.jpg", etag=""),
    ]
    found = list(unchanged.versions(run, (3, file_of(tmp_path / "t.parquet", rows))))
    assert found == [
        ("http://a.org/0.jpg", ("20261103T", (3, 0))),
        ("http://a.org/2.jpg", ("", (3, 2))),
        ("https://a.org/7.jpg", ("20261103T", (3, 7))),
        ("HTTP://a.org/9.jpg", ("20261103T", (3, 9))),
    ]


def test_urls_of_a_shard_are_those_that_are_asked_for(run: Run) -> None:
    listing = manifest.list_source(run, 1)
    of_shards = [list(unchanged.urls(run, shard)) for shard in range(listing.shards)]
    found = [(uri.lower(), shard == number) for number, rows in enumerate(of_shards) for uri, shard in rows]
    assert sorted(found) == [("http://a.org/1.jpg", True), ("https://a.org/2.jpg", True)]


def test_of_each_table_the_row_of_the_last_run_counts() -> None:
    files = [KnownFile("a", 1), KnownFile("b", 1), KnownFile("c", 1, "other"), KnownFile("d", 1, number=1)]
    known = [("20261104T", (1, 7)), ("20261103T", (0, 9)), ("20261101T", (2, 2)), ("20261105T", (3, 3))]
    found = list(unchanged.newest(files, (known, [3, 5])))
    assert sorted(found) == [(3, (1, 7)), (3, (2, 2)), (3, (3, 3)), (5, (1, 7)), (5, (2, 2)), (5, (3, 3))]
    assert list(unchanged.newest(files, ([], [3]))) == list(unchanged.newest(files, (known, []))) == []


def test_what_nobody_has_searched_for_is_known_of_no_url(run: Run, tmp_path: Path) -> None:
    manifest.list_source(run, 1)
    known = unchanged.known_versions(run, 0)
    assert (known.rows, known.etag("http://a.org/1.jpg")) == ({}, None)
    file = file_of(tmp_path / "t.parquet", [row(run, "http://a.org/1.jpg")])
    _know(run, [file])
    assert unchanged.known_versions(run, 0).rows == {}


def _know(run: Run, files: list[KnownFile]) -> None:
    """Let plan have found these files of the table."""
    storage.write(run.layout.known_files, sealed.encode({"files": [list(file) for file in files]}))


def test_rows_are_taken_from_wherever_they_are_in_a_file(run: Run, tmp_path: Path) -> None:
    manifest.list_source(run, 1)
    rows = [row(run, f"http://a.org/{n}.jpg", etag=f'"{n}"', image_id=f"{n:064x}") for n in range(7)]
    file = file_of(tmp_path / "t.parquet", rows)
    _know(run, [file, file])
    of_run = unchanged.search(run)
    of_run.end([of_run.write(0, [(0, 0), (0, 1), (0, 2), (0, 6), (1, 3)])])
    known = unchanged.known_versions(run, 0)
    assert {uri: known.etag(uri) for uri in known.rows} == {f"http://a.org/{n}.jpg": f'"{n}"' for n in (0, 1, 2, 6, 3)}
    listed = pa.table(
        {"uri": ["http://a.org/6.jpg", "http://a.org/1.jpg"], "label": ["pear", None], "key": [None, "k"]},
        schema=pa.schema([("uri", pa.string()), ("label", pa.string()), ("key", pa.string())]),
    )
    found = known.reused(listed, 0).select(["uri", "etag", "image_id", "label", "key", "width", "height", "size"])
    assert found.to_pylist() == [
        {"uri": f"http://a.org/{n}.jpg", "etag": f'"{n}"', "image_id": f"{n:064x}"}
        | {"label": label, "key": key, "width": 10, "height": 20, "size": 100}
        for n, label, key in ((6, "pear", None), (1, None, "k"))
    ]


def test_a_url_counts_where_all_tables_have_the_same_bytes_and_version() -> None:
    names = ("uri", "image_id", "etag")
    one = pa.Table.from_pylist(
        [dict(zip(names, values, strict=True)) for values in ("aix", "biy", "ciz", "djz", "eix")],
        schema=pa.schema([(name, pa.string()) for name in names]),
    )
    other = pa.Table.from_pylist(
        [dict(zip(names, values, strict=True)) for values in ("diz", "ciy", "aix", "bjy", "eix")], schema=one.schema
    )
    assert unchanged._of_one_version([one, other]) == {"a": (0, 2), "e": (4, 4)}
    assert unchanged._of_one_version([one]) == {"a": (0,), "b": (1,), "c": (2,), "d": (3,), "e": (4,)}


def test_rows_of_what_the_limits_let_through_are_asked_about(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    limits = {"max_pixels": 200, "max_bytes": 100}
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}), limits=limits)
    uris = ["as large as may be", "more pixels", "more bytes", "no version", None]
    rows = [
        row(run, uris[0]),
        row(run, uris[1], height=21),
        row(run, uris[2], size=101),
        row(run, uris[3], etag=None),
        row(run, uris[4]),
        row(run, "a large product", width=100_000, height=100_000),
    ]
    assert unchanged._within_limits(run, table_of(rows))["uri"].to_pylist() == uris[:1]
