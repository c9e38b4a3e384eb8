"""Unfinished runs, publications under way, kept rejects and exports: which of them hold a forgotten image."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import layout, schemas, sealed, storage
from imagefeatures.catalog import purge
from imagefeatures.errors import StoreError
from imagefeatures.forget import places
from imagefeatures.forget.places import Exports
from imagefeatures.forget.wanted import Needles, Wanted
from imagefeatures.settings import Settings
from imagefeatures.storage.objects import StoredObject
from support.growing import rejected_row
from support.redriving import mend, small_partition

IMAGE, OTHER, URI = 64 * "a", 64 * "b", "s3://b/1"
WANTED = Wanted(frozenset({IMAGE}), frozenset({URI}))

AT = schemas.QUARANTINE.get_field_index("detail")
LISTS = rejected_row("photos", "r").set_column(AT, "detail", pa.array([["a list"]]))
"""Rows of the quarantine, but for a column that is of another type."""


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake"


# Unfinished runs


def test_a_run_is_named_once_if_one_of_its_files_holds_an_image(lake: str) -> None:
    staging = layout.staging(lake)
    held = parquet(image_id=[OTHER, IMAGE], uri=["s3://b/2", "s3://b/3"])
    files = {
        "birds/day/run-1/ingest/0.parquet": held,
        "birds/day/run-1/ingest/1.parquet": held,
        "birds/day/run-2/ingest/0.parquet": parquet(image_id=[OTHER], uri=["s3://b/2"]),
        "birds/day/run-3/ingest/0.parquet": parquet(image_id=[OTHER], uri=[URI]),
        "birds/day/run-4/manifest/0.parquet": parquet(uri=[URI]),  # only a listing
        "birds/day/run-5/validate/0.json": b"of no rows",
        "birds/day/run-6/ingest/0.parquet": held[:-9],  # damaged: it cannot be told
        "birds/stray.parquet": held,
    }
    for name, data in files.items():
        storage.write(f"{staging}/{name}", data)
    runs = [f"{staging}/birds/day/run-{number}" for number in (1, 3, 6)]
    assert places.unfinished_runs(lake, WANTED) == runs


def test_a_re_drive_holds_what_it_takes_again_and_what_stays_as_it_was(settings: Settings, tmp_path: Path) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    mend(tmp_path / "photos", "cut.jpg")
    run = partition.planned(reason="TRUNCATED")
    plan = StoredObject(f"{run.layout.run}/redrive.json", 1, "")
    quarantine = {uri.rpartition("/")[2]: row["image_id"] for uri, row in partition.quarantine.items()}
    held = [
        places._holds(settings.lake, plan, Wanted(frozenset({quarantine[name]}))) for name in ("cut.jpg", "text.jpg")
    ]
    assert held == [True, True]
    assert not places._holds(settings.lake, plan, Wanted(frozenset({IMAGE})))


def test_a_file_that_is_gone_meanwhile_holds_nothing(lake: str) -> None:
    for name in ("ingest/0.parquet", "redrive.json"):
        assert not places._holds(lake, StoredObject(f"{layout.staging(lake)}/b/d/r/{name}", 9, ""), WANTED)


@pytest.mark.parametrize("content", [b"{", b"{}", b"7", b'{"replaces": 7}', b'{"replaces": "r"}'])
def test_a_re_drive_of_which_nothing_can_be_told_holds_one(lake: str, content: bytes) -> None:
    uri = f"{layout.staging(lake)}/b/d/r/redrive.json"
    storage.write(uri, content)
    assert places._holds(lake, StoredObject(uri, len(content), ""), WANTED)


# Publications under way and kept rejects


def publication(lake: str, **content: Any) -> str:
    uri = f"{layout.publications_folder(lake)}/one.json"
    storage.write(uri, sealed.encode(content))
    return uri


def test_a_publication_that_quarantines_an_image_or_names_a_file_of_it_is_waited_for(lake: str) -> None:
    row = rejected_row("photos", "r")
    held = row.set_column(row.schema.get_field_index("image_id"), row.schema.field("image_id"), pa.array([IMAGE]))
    other, with_image = (sealed.text_of_table(rows) for rows in (schemas.QUARANTINE.empty_table(), held))
    file = f"{lake}/warehouse/1.parquet"
    publication(lake, quarantine=other, files={"photos": [file]})
    places.refuse_publications(lake, WANTED, set())
    uri = publication(lake, quarantine=other, files={"photos_pixels": [], "photos": [f"{lake}/2.parquet", file]})
    said = "this run is being published; try again once it is. If it does not end, run its partition anew"
    with pytest.raises(StoreError, match=rf"^{uri}: {said}$"):
        places.refuse_publications(lake, WANTED, {file})
    publication(lake, quarantine=with_image, files={"photos": [file]})
    with pytest.raises(StoreError):
        places.refuse_publications(lake, WANTED, set())


@pytest.mark.parametrize(
    "content",
    [
        {"files": {}},
        {"quarantine": 7, "files": {}},
        {"quarantine": "no base64", "files": {}},
        {"quarantine": "AAAA", "files": {}},
        {"quarantine": "AAA", "files": {}},
        {"quarantine": sealed.text_of_table(pa.table({"a": [1]})), "files": {}},
        {"quarantine": sealed.text_of_table(LISTS), "files": {}},
        {"quarantine": sealed.text_of_table(schemas.QUARANTINE.empty_table()), "files": []},
        {"quarantine": sealed.text_of_table(schemas.QUARANTINE.empty_table())},
    ],
)
def test_what_is_no_publication_is_waited_for_by_nobody(lake: str, content: dict[str, Any]) -> None:
    publication(lake, **content)
    places.refuse_publications(lake, WANTED, {f"{lake}/1.parquet"})


def test_a_publication_that_is_damaged_or_has_ended_meanwhile_is_none(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write(f"{layout.publications_folder(lake)}/one.json", b"{")
    places.refuse_publications(lake, WANTED, set())
    gone = StoredObject(f"{layout.publications_folder(lake)}/two.json", 1, "")
    monkeypatch.setattr(storage, "list_objects", lambda _: iter([gone]))
    places.refuse_publications(lake, WANTED, set())


def test_kept_bytes_are_found_by_the_id_that_is_their_name(lake: str) -> None:
    folder = f"{layout.kept_rejects(lake)}/birds/day/CORRUPT"
    for image in (IMAGE, OTHER):
        storage.write(f"{folder}/{image}", b"x")
    assert places.kept_rejects(lake, WANTED) == [f"{folder}/{IMAGE}"]


# Other tables and exports


def test_only_data_files_of_tables_that_are_not_ours_are_looked_into(lake: str) -> None:
    held = parquet(photo=[IMAGE])
    own = {"features/runs/data/1.parquet", "features/birds/data/1.parquet", "features/mine/metadata/1.parquet"}
    others = {"features/mine/1.parquet", "mine/birds/data/1.parquet", "features/mine/data/metadata/1.parquet"}
    for name in own | others:
        storage.write(f"{layout.warehouse(lake)}/{name}", held)
    for name, data in {"numbers": parquet(n=[1]), "others": parquet(photo=[OTHER]), "cut": held[:-9]}.items():
        storage.write(f"{layout.warehouse(lake)}/features/mine/data/{name}.parquet", data)
    storage.write(f"{layout.warehouse(lake)}/features/mine/data/empty.parquet", b"")
    folder = Path(layout.warehouse(lake).removeprefix("file://")) / "features" / "mine"
    outside = Path(lake.removeprefix("file://")).with_name("outside.parquet")
    outside.write_bytes(held)
    (folder / "link.parquet").symlink_to(outside)
    found = places.other_tables(lake, [("features", "birds")], Needles([IMAGE]))
    assert found.files == {f"{layout.warehouse(lake)}/{name}": len(held) for name in others}
    assert found.unreadable == [f"{layout.warehouse(lake)}/features/mine/data/cut.parquet"]


@pytest.mark.parametrize(
    ("column", "holds"),
    [
        (pa.array([IMAGE]), True),
        (pa.array([IMAGE], pa.large_string()), True),
        (pa.array([IMAGE]).dictionary_encode(), True),
        (pa.array([[IMAGE]]), False),  # only columns of texts are looked into
    ],
)
def test_a_column_of_texts_of_any_kind_is_looked_into(lake: str, column: pa.Array, holds: bool) -> None:
    uri = f"{layout.warehouse(lake)}/features/mine/1.parquet"
    storage.write(uri, parquet(column=column))
    assert list(places.other_tables(lake, [], Needles([IMAGE])).files) == [uri] * holds


def test_a_file_of_another_table_that_is_gone_meanwhile_is_passed_over(lake: str) -> None:
    found = purge.Found()
    places._look_into(StoredObject(f"{lake}/1.parquet", 9, ""), Needles([IMAGE]), found)
    assert found == purge.Found()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5", ".tfrecords", ".TAR", ".csv", ".feather", ".json"])
def test_a_file_is_an_export_by_its_suffix(lake: str, suffix: str) -> None:
    storage.write(f"{lake}/mine/x{suffix}", f"see {IMAGE}".encode())
    assert places.exports(lake, Needles([IMAGE])) == Exports([f"{lake}/mine/x{suffix}"], [], [])


def test_folders_of_the_service_are_searched_elsewhere(lake: str) -> None:
    for name in (*places.OWN, "catalog.db-journal"):
        storage.write(f"{lake}/{name}" if name.startswith("catalog") else f"{lake}/{name}/x.csv", IMAGE.encode())
    assert places.exports(lake, Needles([IMAGE])) == Exports([], [], [])
    storage.write(f"{lake}/catalog.dbx/x.csv", IMAGE.encode())
    assert places.exports(lake, Needles([IMAGE])).holding == [f"{lake}/catalog.dbx/x.csv"]


def test_a_compressed_file_that_is_no_table_cannot_be_searched(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "x.gz": gzip.compress(b"anything"), "x.zst": b"\x28\xb5\x2f\xfd anything", "x.parquet": b"PAR1 cut",
        "x.arrow": b"ARROW1 cut", "y.bin": b"anything",
    }  # fmt: skip
    for name, data in files.items():
        storage.write(f"{lake}/{name}", data)
    unsearched = [f"{lake}/{name}" for name in sorted(files) if name.startswith("x")]
    assert places.exports(lake, Needles([IMAGE], [URI])) == Exports([], [], unsearched)
    monkeypatch.setattr(places, "LARGEST_READ", 7)  # then neither table is even opened
    assert places.exports(lake, Needles([IMAGE], [URI])) == Exports([], [], unsearched)


def test_a_cut_table_in_which_a_uri_stands_goes_as_an_export(lake: str) -> None:
    storage.write(f"{lake}/x.parquet", b"PAR1 " + URI.encode())
    assert places.exports(lake, Needles([], [URI])) == Exports([f"{lake}/x.parquet"], [], [])


def test_a_table_up_to_the_largest_size_is_read_and_a_larger_one_is_not(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"photo": [IMAGE]}), sink, compression="zstd", write_statistics=False)
    packed = bytes(sink.getvalue())
    assert IMAGE.encode() not in packed
    storage.write(f"{lake}/x.parquet", packed)
    monkeypatch.setattr(places, "LARGEST_READ", len(packed))
    assert places.exports(lake, Needles([IMAGE])) == Exports([f"{lake}/x.parquet"], [], [])
    monkeypatch.setattr(places, "LARGEST_READ", len(packed) - 1)
    assert places.exports(lake, Needles([IMAGE])) == Exports([], [], [f"{lake}/x.parquet"])
