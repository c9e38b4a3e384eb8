"""A list of URIs: what its lines and rows are taken for, and which lists are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import manifest, storage
from imagefeatures.errors import InputError, NoInput, Rejected, StoreRefused
from imagefeatures.sources import Content, UriList, tables, uris
from imagefeatures.storage import object_reader
from support.doors import parquet
from support.listing import WORKERS, listed
from support.photos import fill, jpeg
from support.scripted_store import ScriptedStore
from support.shared import BUCKET, MakeRun


def listing(path: Path, **fields: Any) -> UriList:
    return UriList(kind="uri_list", uri=f"file://{path}", **fields)


def written(tmp_path: Path, content: bytes, name: str = "list.txt") -> Path:
    return fill(tmp_path, {name: content}) / name


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("photos/1.jpg", "does not begin with"),
        ("/data/1.jpg", "does not begin with"),
        ("data:image/png;base64,xx", "does not begin with"),
        ("gs://bucket/1.jpg", "does not begin with"),
        ("FILE:///data/1.jpg", "lower case"),
        ("file://data/1.jpg", "three slashes"),
        ("s3://bucket", "bucket and a key"),
        ("s3:///1.jpg", "bucket and a key"),
        ("s3://My bucket/1.jpg", "bucket and a key"),
        ("file:///a\0b.jpg", "NUL"),
        ("s3://bucket/" + "x" * 9000, "characters"),
    ],
)
def test_a_uri_that_is_never_read_is_a_row_that_says_why(uri: str, why: str) -> None:
    item = uris.named(uri, "file:///list.txt#3")
    assert item.rejected is not None
    assert item.rejected.reason == "UNSUPPORTED_URL"
    assert why in item.rejected.detail
    assert item.uri == (uri if len(uri) < 8192 else "file:///list.txt#3")


@pytest.mark.parametrize(
    "uri", ["s3://b-1.x/a b%20+é#1.jpg", "file:///a/b#c.jpg", "https://127.0.0.9/1.jpg", "HTTP://host"]
)
def test_a_uri_is_taken_as_it_stands(uri: str) -> None:
    # A blank at the end of s3:// and file:// is a part of the name: "a.jpg" and "a.jpg " are two objects.
    blank = "" if uri.startswith(("s3://", "file://")) else "\t"
    item = uris.named(f" {uri}{blank}", "file:///list.txt#3", key="k", label="fig")
    assert (item.uri, item.rejected, item.key, item.label) == (uri, None, "k", "fig")


@pytest.mark.parametrize("end", [" ", "\t", "\r", "\u00a0", "\u3000"])
def test_blanks_at_the_end_of_a_name_are_a_part_of_it(end: str) -> None:
    for uri in ("s3://bucket/a.jpg", "file:///a.jpg"):
        item = uris.named(f"\t{uri}{end}", "file:///list.txt#3")
        assert (item.uri, item.rejected) == (f"{uri}{end}", None)


def test_two_files_whose_names_differ_by_a_blank_are_two_rows(tmp_path: Path) -> None:
    fill(tmp_path, {"a.jpg": b"one", "a.jpg ": b"other"})
    names = [f"file://{tmp_path}/a.jpg", f"file://{tmp_path}/a.jpg "]
    text = written(tmp_path, ("\r\n".join(names) + "\r\n \t\r\n").encode())
    table = written(tmp_path, parquet({"uri": names}), "list.parquet")
    for path in (text, table):
        source = listing(path)
        items = list(source.items())
        assert [item.uri for item in items] == names
        assert [found.data for found in source.fetch(items, 100) if isinstance(found, Content)] == [b"one", b"other"]


def test_a_text_of_another_system_is_read_by_its_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufefffile:///a.jpg\r\n#file:///b.jpg\r\n\r\n  \tfile:///é.jpg".encode())
    assert [item.uri for item in listing(path).items()] == ["file:///a.jpg", "file:///é.jpg"]


def test_a_line_that_is_not_utf_8_is_a_row(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run({"kind": "uri_list", "uri": f"file://{written(tmp_path, b'file:///ok.jpg')}"})
    written(tmp_path, b"file:///\xff.jpg\nfile:///ok.jpg\n")
    shards = manifest.list_source(run, WORKERS).shards
    assert listed(run) == ["file:///\\udcff.jpg", "file:///ok.jpg"]
    rows = [row for shard in range(shards) for row in manifest.read_manifest(run, shard).to_pylist()]
    assert [row["reason"] for row in rows] == ["BAD_KEY", None]


def test_lines_longer_than_a_block_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 7)
    lines = [f"file:///{'x' * length}.jpg" for length in range(0, 30, 3)]
    assert [item.uri for item in listing(written(tmp_path, "\n".join(lines).encode())).items()] == lines
    monkeypatch.setattr(tables, "LONGEST_LINE", 20)
    with pytest.raises(InputError, match="a line has more than 20 bytes"):
        list(listing(tmp_path / "list.txt").items())


def test_labels_that_are_numbers_with_names_are_names(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["apple", "pear"], "_type": "ClassLabel"}}}}
    table = pa.table({"uri": ["file:///1", "file:///2", "file:///3"], "label": [1, None, 7]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink)
    path = written(tmp_path, sink.getvalue().to_pybytes(), "list.parquet")
    assert [item.label for item in listing(path, label={"column": "label"}).items()] == ["pear", None, "7"]


def test_of_a_wide_table_only_the_columns_that_are_named_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: dict[str, Any] = {f"c{number}": [f"{number}-{row}" * 50 for row in range(200)] for number in range(100)}
    columns |= {"uri": [f"file:///{row}" for row in range(200)], "id": list(range(200))}
    data = parquet(columns, row_group_size=50)
    read: list[int] = []
    real = object_reader.ObjectReader.read
    monkeypatch.setattr(
        object_reader.ObjectReader,
        "read",
        lambda self, size=-1: read.append(size) or real(self, size),  # type: ignore[func-returns-value]
    )
    items = list(listing(written(tmp_path, data, "wide.parquet"), key="id").items())
    assert [(item.uri, item.key) for item in items] == [(f"file:///{row}", f"{row}") for row in range(200)]
    footer = int.from_bytes(data[-8:-4], "little")
    assert sum(read) < footer + len(data) / 10


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (parquet({"url": ["x"], "b": [1]}), r"there is no column 'uri' \(did you mean url\?\); there are url, b"),
        (b"PAR1 no Parquet", "it is no whole Parquet file"),
        (parquet({"uri": ["file:///1"] * 1000})[:-20], "it is no whole Parquet file"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, refusal: str) -> None:
    path = written(tmp_path, content, "list.parquet")
    with pytest.raises(InputError, match=refusal) as refused:
        list(listing(path).items())
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_list_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"file:///1\nfile:///2\n")
    items = listing(path).items()
    next(items)
    path.write_bytes(b"file:///3\n")
    with pytest.raises(InputError, match="it was replaced while it was read; start a new run"):
        list(items)


def test_a_folder_of_lists_must_be_whole(tmp_path: Path) -> None:
    fill(tmp_path, {"lists/a.txt": b"file:///1", "lists/b.TXT": b"file:///2"})
    (tmp_path / "lists" / "c.txt").symlink_to("/nowhere")
    with pytest.raises(StoreRefused, match=r"c.txt: it is a link that leads to nothing"):
        list(listing(tmp_path / "lists").items())
    (tmp_path / "lists" / "c.txt").unlink()
    assert [item.uri for item in listing(tmp_path / "lists").items()] == ["file:///1", "file:///2"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "there is no file or folder file://{path}"),
        ({"list": b"# nothing\n\n"}, "file://{path} names no image"),
        (
            {"list/notes.md": b""},
            r"there is no file file://{path}, and none below it that fits \['\*.txt', '\*.parquet'\]",
        ),
    ],
)
def test_a_list_without_a_uri_is_no_input(make_run: MakeRun, tmp_path: Path, files: Any, why: str) -> None:
    fill(tmp_path, files)
    with pytest.raises(NoInput, match=why.format(path=tmp_path / "list")):
        make_run({"kind": "uri_list", "uri": f"file://{tmp_path}/list"})


@pytest.mark.parametrize("store", ["file", "s3"])
def test_objects_are_read_where_they_are_and_only_up_to_the_limit(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = f"file://{tmp_path}"
    if store == "s3":
        request.getfixturevalue("s3")
        base = f"s3://{BUCKET}"
    storage.write(f"{base}/1.jpg", jpeg(1))
    storage.write(f"{base}/large.jpg", b"x" * 5000)
    (tmp_path / "folder").mkdir()
    names = ["1.jpg", "large.jpg", "gone.jpg", "1.jpg/below.jpg"]
    items = [uris.named(f"{base}/{name}", "") for name in names] + [uris.named("https://127.0.0.9/1.jpg", "")]
    items.append(uris.named(f"file://{tmp_path}/folder", ""))
    first, *others = UriList(kind="uri_list", uri="file:///list.txt").fetch(items, 4000)
    assert first == Content(jpeg(1), storage.stat(f"{base}/1.jpg").etag)
    assert all(isinstance(other, Rejected) for other in others)
    reasons = [other.reason for other in others if isinstance(other, Rejected)]
    assert reasons == ["TOO_LARGE", "NOT_FOUND", "NOT_FOUND", "BLOCKED_ADDRESS", "NOT_A_FILE"]
    (stored,) = (entry for entry in storage.list_objects(base) if entry.uri.endswith("/1.jpg"))
    assert storage.stat(stored.uri) == stored


@pytest.mark.parametrize("status", [400, 403])
def test_an_object_that_the_store_refuses_is_a_row(scripted: ScriptedStore, status: int) -> None:
    scripted.always = (status, {}, b"")
    (refused,) = UriList(kind="uri_list", uri="file:///list.txt").fetch([uris.named(f"s3://{BUCKET}/1.jpg", "")], 4000)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.detail) == ("NOT_READABLE", f"the store does not let it be read ({status})")


def test_a_list_may_name_objects_of_several_stores_in_any_order(tmp_path: Path, s3: None) -> None:
    far, near = [f"s3://{BUCKET}/{n}.jpg" for n in range(3)], [f"file://{tmp_path}/{n}.jpg" for n in range(3)]
    for at, uri in enumerate(far[:2] + near[:2]):
        storage.write(uri, jpeg(at))
    uris_there = [far[0], near[0], near[2], far[2], near[1], far[1]]
    source = listing(written(tmp_path, "\n".join(uris_there).encode()))
    found = list(source.fetch(list(source.items()), 1 << 20))
    assert [data.data if isinstance(data, Content) else data.reason for data in found] == [
        jpeg(0), jpeg(2), "NOT_FOUND", "NOT_FOUND", jpeg(3), jpeg(1)
    ]  # fmt: skip


def test_large_objects_of_a_store_are_fetched_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store holds what it has fetched at once: nobody knew the sizes when the shard was cut."""
    contents = {f"{number}.jpg": bytes([number]) * size for number, size in enumerate((40, 50, 20, 300, 10, 90, 0))}
    folder = fill(tmp_path / "photos", contents)
    at_once: list[list[int]] = []
    real = storage.fetch_all

    def counted(objects: list[storage.StoredObject], **access: Any) -> Any:
        at_once.append([stored.size for stored in objects])
        return real(objects, **access)

    monkeypatch.setattr(uris, "MOST_AT_ONCE", 100)
    monkeypatch.setattr(storage, "fetch_all", counted)
    items = [uris.named(f"file://{folder}/{name}", "") for name in [*contents, "gone.jpg"]]
    *found, gone = listing(tmp_path / "list").fetch(items, 1000)
    assert [content.data for content in found if isinstance(content, Content)] == list(contents.values())
    assert isinstance(gone, Rejected)
    assert at_once == [[40, 50], [20], [300], [10, 90]]  # nothing is read of what has no byte
