"""A container among others that its store refuses is a row; the only one is told at once. One may be replaced too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import InputError, Rejected, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.sources import ParquetBytes, Tar, UriList, UrlTable, tables
from imagefeatures.storage import StoredObject
from imagefeatures.storage.local import LocalStore
from support.doors import parquet, tar
from support.photos import fill, jpeg
from support.shared import BUCKET

KINDS: dict[str, tuple[Any, bytes]] = {
    "tar": (Tar, tar([("x.jpg", jpeg(1))])),
    "parquet_bytes": (ParquetBytes, parquet({"image": [jpeg(1)]})),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The store refuses to give what lies under this name, as for one object that a policy denies."""
    real = LocalStore.read_part

    def read_part(store: LocalStore, path: str, start: int, length: int) -> bytes:
        if name in path:
            raise StoreRefused(f"file://{path}: the store refuses (AccessDenied)")
        return real(store, path, start, length)

    monkeypatch.setattr(LocalStore, "read_part", read_part)


def files(tmp_path: Path, kind: str) -> Path:
    return fill(tmp_path, {f"in/{name}.{kind.partition('_')[0]}": KINDS[kind][1] for name in "abc"}) / "in"


def test_one_of_several_is_a_row_before_and_after_the_listing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = KINDS[kind][0](kind=kind, uri=f"file://{files(tmp_path, kind)}/")
    items = list(source.items())
    refuse(monkeypatch, "/b.")
    source.check()
    listed = [str(item.rejected.reason) if item.rejected else None for item in source.items()]
    assert listed == [None, "NOT_READABLE", None]
    first, lost, last = source.fetch(items, 1 << 20)
    assert (first, last) == (jpeg(1), jpeg(1))
    assert isinstance(lost, Rejected)
    assert lost.detail.endswith("the store refuses (AccessDenied), while the store gives other objects")


def test_all_of_them_or_the_only_one_end_the_run(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files(tmp_path, kind)
    refuse(monkeypatch, ".")
    with pytest.raises(StoreRefused, match="AccessDenied"):
        list(KINDS[kind][0](kind=kind, uri=f"file://{folder}/").items())
    monkeypatch.undo()
    refuse(monkeypatch, "/b.")
    (only,) = folder.glob("b.*")
    with pytest.raises(StoreRefused, match="AccessDenied"):
        list(KINDS[kind][0](kind=kind, uri=f"file://{only}").items())


LARGE = [jpeg(1) + bytes(1 << 20)] * 3
"""Images so large that a listing does not read all of their file, and the last lies behind a shorter file's end."""

REPLACED: dict[str, tuple[bytes, bytes]] = {
    "tar": (tar([(f"{at}.jpg", data) for at, data in enumerate(LARGE)]), KINDS["tar"][1]),
    "parquet_bytes": (
        parquet({"image": LARGE}, row_group_size=1, use_dictionary=False, compression="none"),
        KINDS["parquet_bytes"][1],
    ),
}


@pytest.fixture(params=["file", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty folder of a disk, and of a bucket."""
    if request.param == "file":
        return f"file://{tmp_path}/in"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/in"


@pytest.mark.parametrize("alone", [True, False])
def test_one_that_became_shorter_has_changed_wherever_it_lies(base: str, kind: str, alone: bool) -> None:
    uri = f"{base}/a.{kind.partition('_')[0]}"
    for other in (uri, uri.replace("/a.", "/b.")):
        storage.write(other, REPLACED[kind][0])
    source = KINDS[kind][0](kind=kind, uri=uri if alone else f"{base}/")
    items = [item for item in source.items() if item.uri.startswith(uri)]
    storage.write(uri, REPLACED[kind][1])
    found = list(source.fetch(items[1:], 1 << 24))
    assert [str(one.reason) for one in found if isinstance(one, Rejected)] == ["CHANGED_DURING_RUN"] * 2


def test_one_that_became_shorter_while_it_was_listed_has_changed_and_is_not_damaged(base: str, kind: str) -> None:
    uri = f"{base}/a.{kind.partition('_')[0]}"
    large = REPLACED[kind][0] if kind == "tar" else parquet({"image": LARGE, "id": ["a", "b", "c"]}, row_group_size=1)
    storage.write(uri, large)
    items = KINDS[kind][0](kind=kind, uri=uri, **({} if kind == "tar" else {"key": "id"})).items()
    listed = [next(items)]
    storage.write(uri, REPLACED[kind][1][:700])
    listed += items
    assert listed[0].rejected is None
    assert {str(item.rejected.reason) for item in listed[1:] if item.rejected} == {"CHANGED_DURING_RUN"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "txt", "parquet"])
def test_a_list_that_became_shorter_is_said_to_be_replaced(base: str, ending: str) -> None:
    uris = [f"s3://bucket/{at:090d}" for at in range(60_000)]
    whole = {
        "csv": "uri,id\n" + "".join(f"{uri},{at}\n" for at, uri in enumerate(uris)),
        "jsonl": "".join(f'{{"uri": "{uri}", "id": {at}}}\n' for at, uri in enumerate(uris)),
        "txt": "\n".join(uris),
    }
    columns = {"uri": uris, "id": list(range(len(uris)))}
    data = parquet(columns, row_group_size=1000) if ending == "parquet" else whole[ending].encode()
    uri = f"{base}/t.{ending}"
    storage.write(uri, data)
    table = UrlTable.model_validate({"kind": "url_table", "table": uri, "url": "uri", "key": "id"})
    items = (UriList(kind="uri_list", uri=uri) if ending == "txt" else table).items()
    next(items)
    storage.write(uri, data[:1000])
    with pytest.raises(InputError, match=r"it was replaced while it was read; start a new run$"):
        list(items)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_list_that_the_store_refuses_is_not_said_to_be_replaced(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise StoreRefused("AccessDenied")

    def deny(*_: object) -> StoredObject:
        raise Rejected(Reason.NOT_READABLE, "permission denied")

    path = tmp_path / f"t.{ending}"
    path.write_bytes(parquet({"uri": ["1"]}) if ending == "parquet" else b'{"uri": "1"}')
    table = storage.stat(f"file://{path}")
    monkeypatch.setattr(storage, "read_part", refuse)
    monkeypatch.setattr(storage, "stat", deny)
    with pytest.raises(StoreRefused, match=r"^AccessDenied$"):
        list(tables.rows(table, tables.Columns("uri")))
