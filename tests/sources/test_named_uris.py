"""Which URIs of a list are read, how objects of a store are read together, and what a place says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures import storage
from imagefeatures.errors import DatasetError, Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources import http, located, tables, uris
from imagefeatures.sources.folder import Folder
from imagefeatures.sources.item import Content, Item
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.sources.uri_list import UriList
from support.photos import fill


def told(rejected: Rejected | None) -> tuple[Reason, str] | None:
    return None if rejected is None else (rejected.reason, rejected.detail)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/key",
        "s3://b-1.x/k/",
        "s3://abc/ ",
        "file:///a",
        "http://h",
        "HTTPS://h/",
        "https:///",
        "s3://bucket//",
    ],
)
def test_a_uri_that_may_be_there_is_tried(uri: str) -> None:
    assert uris.refusal(uri) is None


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("photo.jpg", "it does not begin with s3://, file:///, https:// or http://"),
        ("s3:/bucket/key", "it does not begin with s3://, file:///, https:// or http://"),
        ("ftp://host/a", "it does not begin with s3://, file:///, https:// or http://"),
        ("s3", "it does not begin with s3://, file:///, https:// or http://"),
        ("https://h/\0", "there is a NUL in it"),
        ("S3://bucket/key", "s3:// is written in lower case"),
        ("File:///a", "file:// is written in lower case"),
        ("file://host/a", "file:// needs three slashes and the whole path"),
        ("s3://bucket", "s3:// needs a bucket and a key"),
        ("s3://bucket/", "s3:// needs a bucket and a key"),
        ("s3://ab/key", "s3:// needs a bucket and a key"),
        ("s3://-abc/key", "s3:// needs a bucket and a key"),
        ("s3:///key", "s3:// needs a bucket and a key"),
    ],
)
def test_a_uri_that_is_never_read_says_why(uri: str, why: str) -> None:
    assert told(uris.refusal(uri)) == (Reason.UNSUPPORTED_URL, why)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("  s3://bucket/a ", "s3://bucket/a "),
        ("\tfile:///a \n", "file:///a \n"),
        (" https://h/a ", "https://h/a"),
        ("s3://bucket/" + "a" * (uris.LONGEST - 12), "s3://bucket/" + "a" * (uris.LONGEST - 12)),
    ],
)
def test_blanks_around_a_uri_are_no_part_of_it_but_at_the_end_of_a_key(text: str, uri: str) -> None:
    item = uris.named(text, "file:///list#1", key="7", label="fig")
    assert item == Item(uri, key="7", label="fig")


@pytest.mark.parametrize("text", [None, "", " \t "])
def test_the_place_stands_for_a_uri_that_is_missing(text: str | None) -> None:
    item = uris.named(text, "file:///list#1", key="7", label="fig")
    assert (item.uri, item.key, item.label) == ("file:///list#1", "7", "fig")
    assert told(item.rejected) == (Reason.UNSUPPORTED_URL, "there is no URI in its place")


def test_a_uri_that_is_too_long_is_not_read() -> None:
    item = uris.named("s3://bucket/" + "a" * (uris.LONGEST - 11), "file:///list#1", key="7", label="fig")
    assert (item.uri, item.key, item.label) == ("file:///list#1", "7", "fig")
    why = "a URI of 8,193 characters; the longest that is read has 8,192"
    assert told(item.rejected) == (Reason.UNSUPPORTED_URL, why)
    assert told(uris.named("x", "p").rejected) == told(uris.refusal("x"))


@pytest.mark.parametrize(
    ("columns", "row", "given"),
    [
        (tables.Columns("uri"), ["s3://bucket/a"], {}),
        (tables.Columns("uri", key="id"), ["s3://bucket/a", "7"], {"key": "7"}),
        (tables.Columns("uri", label="l"), ["s3://bucket/a", "fig"], {"label": "fig"}),
        (tables.Columns("uri", "id", "l"), ["s3://bucket/a", "7", "fig"], {"key": "7", "label": "fig"}),
    ],
)
def test_a_row_has_the_columns_that_were_asked_for(columns: tables.Columns, row: list[str], given: Any) -> None:
    rows: Any = [([3], [row]), ([], []), ([5, 6], [row, [None, *row[1:]]])]
    found = list(uris.of_rows(rows, columns, "file:///t.parquet"))
    assert found[:2] == [Item("s3://bucket/a", **given)] * 2
    assert (found[2].uri, found[2].key, found[2].label) == ("file:///t.parquet#6", given.get("key"), given.get("label"))


def listed(*texts: str) -> UriList:
    source = UriList(kind="uri_list", uri="file:///list.txt")
    object.__setattr__(source, "named", lambda _: (uris.named(text, "file:///list.txt#1") for text in texts))
    return source


def test_the_web_is_checked_once_and_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    monkeypatch.setattr(http, "check_installed", checked.append)
    assert len(list(listed("s3://bucket/a", "ftp://h/", "http://h/\0").items())) == 3
    assert checked == []
    source = listed("https://h/a", "HTTP://h/b", "s3://bucket/a")
    assert len(list(source.everything())) == 3
    assert checked == [source.http]
    assert source.names_hosts
    assert not source.gives_labels
    assert not source.passes_over(Item("s3://bucket/a"), PassedOver())


def test_objects_of_each_scheme_are_read_together_and_come_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def fetch_all(items: Any, most: int, options: Any, known: Any) -> Any:
        asked.append(([item.uri for item in items], most, known))
        return iter([http.Response(b"web", '"7"'), Rejected(Reason.HTTP_REFUSED, "no"), http.Response(b"", "8", True)])

    monkeypatch.setattr(http, "fetch_all", fetch_all)
    fill(tmp_path, {"a": b"one", "b": b"two"})
    known: Any = object()
    names = ["http://h/1", f"file://{tmp_path}/a", "HTTPS://h/2", f"file://{tmp_path}/b", "http://h/3"]
    found = list(listed().fetch([Item(name) for name in names], 99, known))
    assert asked == [([names[0], names[2], names[4]], 99, known)]
    contents = [one if isinstance(one, Content) else told(one) for one in found]
    assert contents[0] == Content(b"web", '"7"')
    assert contents[2] == (Reason.HTTP_REFUSED, "no")
    assert contents[4] == Content(b"", "8", not_modified=True)
    assert [(one.data, bool(one.etag)) for one in (found[1], found[3])] == [(b"one", True), (b"two", True)]  # type: ignore[union-attr]


def test_what_a_store_has_of_each_object(tmp_path: Path) -> None:
    fill(tmp_path, {"empty": b"", "just": b"x" * 9, "large": b"x" * 10})
    names = ["empty", "gone", "just", "large"]
    empty, gone, just, large = listed().fetch([Item(f"file://{tmp_path}/{name}") for name in names], 9)
    assert isinstance(empty, Content) and isinstance(just, Content)
    assert (empty.data, just.data) == (b"", b"x" * 9)
    assert empty.etag and just.etag
    assert told(gone) == (Reason.NOT_FOUND, "there is no such object")
    assert told(large) == (Reason.TOO_LARGE, "it has 10 bytes, limits.max_bytes is 9")


def test_what_becomes_of_an_object_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, dict.fromkeys("abcd", b"x"))
    found = [storage.ObjectMissing(), storage.ObjectChanged("new"), Rejected(Reason.NOT_READABLE, "no"), b"x"]
    monkeypatch.setattr(storage, "fetch_all", lambda some, access: iter(found))
    monkeypatch.setattr(
        storage, "stat_all", lambda names, access: iter([storage.StoredObject(name, 1, "old") for name in names])
    )
    gone, changed, refused, whole = listed().fetch([Item(f"file://{tmp_path}/{name}") for name in "abcd"], 9)
    assert told(gone) == (Reason.NOT_FOUND, "it was there, and gone when it was read")
    assert told(changed) == (Reason.CHANGED_DURING_RUN, "it had ETag old, and was read with new")
    assert told(refused) == (Reason.NOT_READABLE, "no")
    assert whole == Content(b"x", "old")


def test_objects_are_held_together_up_to_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uris, "MOST_AT_ONCE", 10)
    objects = [storage.StoredObject(f"s3://b/{at}", size, "") for at, size in enumerate([4, 6, 1, 20, 9, 1, 1])]
    cut = list(uris._cut(objects))
    assert [[entry.size for entry in some] for some in cut] == [[4, 6], [1], [20], [9, 1], [1]]
    assert list(uris._cut([])) == []
    assert uris.MOST_AT_ONCE == 10


# A place


def test_only_a_bucket_is_public_or_paid() -> None:
    for name in ("anonymous", "requester_pays"):
        own = Folder.model_validate({"uri": "s3://bucket/", name: True}).access
        assert own == storage.Access(name == "anonymous", name == "requester_pays")
        with pytest.raises(ValidationError, match=f"{name}: is for s3:// alone"):
            Folder.model_validate({"uri": "file:///a/", name: True})
    with pytest.raises(ValidationError, match="anonymous: whoever pays for requests must sign them"):
        Folder(uri="s3://bucket/", anonymous=True, requester_pays=True)
    plain = Folder(uri="s3://bucket/")
    assert (plain.access, plain.anonymous, plain.requester_pays) == (None, False, False)
    assert not plain.names_hosts
    assert not plain.gives_labels


def test_a_source_and_the_lake_lie_apart() -> None:
    source = Folder(uri="s3://bucket/photos/")
    source.check_apart("s3://bucket/lake")
    with pytest.raises(DatasetError, match=r"^source: s3://bucket/photos/ holds the lake, s3://bucket/photos/lake; "):
        source.check_apart("s3://bucket/photos/lake")
    with pytest.raises(DatasetError, match=r"^source: s3://bucket/photos/ lies in the lake, s3://bucket; "):
        source.check_apart("s3://bucket")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    def said(uri: str) -> str:
        return located.Located(kind="any", uri=uri).nothing_there()

    assert said("s3://bucket/a/") == "there is no object at s3://bucket/a/"
    assert said(f"file://{tmp_path}/gone") == f"there is no file or folder file://{tmp_path}/gone"
    assert said(f"file://{tmp_path}/") == f"file://{tmp_path}/ is empty"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert said(f"file://{tmp_path}/link") == f"file://{tmp_path}/link is empty"


def test_partitions_that_are_there_are_named(tmp_path: Path) -> None:
    source = Folder(uri=f"file://{tmp_path}/day-{{partition}}/raw/")
    assert Folder(uri=f"file://{tmp_path}/").partitions_there("all") == ""
    assert source.partitions_there("2026-11-02") == f"; there is no partition in file://{tmp_path}/"
    for name in ("day-2026-11-01", "day-2026-11-03", "other", "day-2026-10-02", "day-2026-11-20"):
        (tmp_path / name).mkdir()
    (tmp_path / "day-2026-11-02.txt").write_bytes(b"")  # no folder
    near = source.partitions_there("2026-11-02")
    names = "day-2026-11-01, day-2026-11-03, day-2026-11-20"
    assert near == f"; of the 5 partitions that are there, these are the nearest: {names}"
    far = Folder(uri=f"file://{tmp_path}/{{partition}}/").partitions_there("zzz")
    assert far.startswith(
        "; there are 5 folders in the place of the partition, none of a similar name: day-2026-10-02, "
    )
    assert far.count(",") == 3
    lists = UriList(kind="uri_list", uri=f"file://{tmp_path}/{{partition}}").partitions_there("zzz")
    assert lists.startswith("; there are 6 files and folders in the place of the partition, ")
    below = UriList(kind="uri_list", uri=f"file://{tmp_path}/{{partition}}/a.txt").partitions_there("zzz")
    assert below.startswith("; there are 5 files and folders in the place of the partition, ")
    assert (
        Folder(uri=f"file://{tmp_path}/gone/{{partition}}/").partitions_there("x").startswith("; there is no partition")
    )


def test_partitions_of_a_bucket_are_looked_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["a/1.jpg", "a/2.jpg", "b.txt", "c/d/3.jpg"]
    asked: list[Any] = []

    def list_entries(parent: str, access: Any) -> Any:
        asked.append((parent, access))
        return iter([storage.StoredObject(f"{parent}{name}", 1, "") for name in given])

    monkeypatch.setattr(storage, "list_entries", list_entries)
    folder, file = (
        Folder(uri="s3://bucket/{partition}/", anonymous=True),
        UriList(kind="uri_list", uri="s3://bucket/{partition}"),
    )
    assert folder._beside("s3://bucket/") == ["a", "c"]
    assert file._beside("s3://bucket/") == ["a", "b.txt", "c"]
    assert asked == [("s3://bucket/", folder.access), ("s3://bucket/", None)]
    monkeypatch.setattr(located, "LOOKED_AT", 3)
    assert file._beside("s3://bucket/") == ["a", "b.txt"]
