"""Files of which it cannot be told whether they hold a forgotten image, and files that are gone meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import layout, read, storage
from imagefeatures.errors import StoreRefused
from imagefeatures.forget import places
from imagefeatures.forget.places import Exports
from imagefeatures.forget.wanted import Needles, Wanted
from imagefeatures.storage.objects import StoredObject

IMAGE, URI = 64 * "a", "s3://b/1"
WANTED = Wanted(frozenset({IMAGE}))


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake"


def with_another_footer() -> bytes:
    """A Parquet file whose footer makes no sense: pyarrow raises an OSError."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"image_id": ["b"]}), sink)
    data = bytes(sink.getvalue())
    length = int.from_bytes(data[-8:-4], "little")
    return data[: -8 - length] + b"\xff" * length + data[-8:]


@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError("x"), OSError("x")])
def test_of_a_file_of_a_run_that_cannot_be_read_it_is_taken_to_hold_one(
    lake: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{layout.staging(lake)}/b/d/r/ingest/0.parquet"
    data = with_another_footer()
    storage.write(uri, data)
    stored = StoredObject(uri, len(data), "")
    assert places._holds(lake, stored, WANTED)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"image_id": ["b"]}), sink)
    storage.write(uri, bytes(sink.getvalue()))
    stored = StoredObject(uri, len(sink.getvalue()), "")
    assert not places._holds(lake, stored, WANTED)

    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(read, "file_batches", fails)
    assert places._holds(lake, stored, WANTED)


def test_an_export_with_another_footer_cannot_be_searched(lake: str) -> None:
    storage.write(f"{lake}/x.parquet", with_another_footer())
    assert places.exports(lake, Needles([IMAGE])) == Exports([], [], [f"{lake}/x.parquet"])


def test_a_file_that_the_store_refuses_cannot_be_searched_and_one_that_is_gone_holds_nothing(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = StoredObject(f"{lake}/x.csv", 9, "")
    assert places._export_holds(gone, Needles([IMAGE])) == (False, True)
    assert not places._is_export_folder(lake, StoredObject(f"{lake}/export.json", 9, ""), [])

    def refused(*_: Any) -> bytes:
        raise StoreRefused("no permission")

    monkeypatch.setattr(storage, "read_part", refused)
    assert places._export_holds(gone, Needles([IMAGE])) == (False, False)


def test_what_a_file_says_of_itself_or_does_not_say_stops_no_search(lake: str) -> None:
    """A Parquet file without a word of Arrow's, and an Arrow file whose words mention the URI."""
    plain, said = pa.BufferOutputStream(), pa.BufferOutputStream()
    pq.write_table(pa.table({"about": [f"see {URI}."]}), plain, store_schema=False, compression="none")
    table = pa.table({"a": [1]}).replace_schema_metadata({"source": f"from {URI}, and others"})
    with pa.ipc.new_file(said, table.schema) as sink:
        sink.write_table(table)
    storage.write(f"{lake}/plain.parquet", bytes(plain.getvalue()))
    storage.write(f"{lake}/said.arrow", bytes(said.getvalue()))
    found = places.exports(lake, Needles([], [URI]))
    assert found == Exports([f"{lake}/plain.parquet", f"{lake}/said.arrow"], [], [])


def test_a_link_below_the_lake_is_not_looked_into(lake: str, tmp_path: Path) -> None:
    storage.write(f"{lake}/mine/x.txt", b"nothing")
    (tmp_path / "person.csv").write_text(IMAGE)
    (tmp_path / "lake" / "mine" / "link.csv").symlink_to(tmp_path / "person.csv")
    assert places.exports(lake, Needles([IMAGE])) == Exports([], [], [])
