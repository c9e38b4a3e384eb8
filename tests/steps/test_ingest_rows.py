"""Row by row: what ingest asks its source for, and what becomes of what the source gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imagefeatures import local, manifest, read, shards, storage
from imagefeatures.errors import Rejected
from imagefeatures.forget import deny
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from imagefeatures.sources import Content, Item
from imagefeatures.steps import INGEST, ingest
from support.doors import parquet
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

LIMITS = Limits(max_bytes=10)


def row(uri: str, size: int | None = None, **fields: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("etag", "label", "key", "locator", "weight", "reason", "detail"))
    return {"uri": uri, "size": size, **nothing, **fields}


class Given:
    """A source that gives these answers. items: those that it was asked for, and how many bytes of each at most."""

    def __init__(self, *answers: bytes | Content | Rejected) -> None:
        self.answers, self.items, self.most = answers, list[Item](), 0

    def fetch(self, items: Sequence[Item], most: int) -> Iterator[bytes | Content | Rejected]:
        self.items, self.most = list(items), most
        return iter(self.answers)


def fetched(source: Given, rows: list[dict[str, Any]], known: Any = None) -> list[Any]:
    return list(ingest.fetch_rows(cast("Any", source), LIMITS, rows, known))


def told(found: list[Any]) -> list[str]:
    return [str(one) for one in found]


def test_what_the_listing_refuses_is_not_asked_for() -> None:
    source = Given(b"x", b"y" * 10)
    rows = [
        row("a", 1, etag="e", label="pear", key="k", locator="7"),
        row("b", 0),
        row("c", 11),
        row("d", 5, reason="LINK_BROKEN", detail="it is a link that leads to nothing"),
        row("e", 10),
    ]
    first, empty, large, broken, last = fetched(source, rows)
    assert (first, last) == (b"x", b"y" * 10)
    assert told([empty, large, broken]) == [
        "EMPTY_OBJECT: it has 0 bytes",
        "TOO_LARGE: it has 11 bytes, limits.max_bytes is 10",
        "LINK_BROKEN: it is a link that leads to nothing",
    ]
    assert source.items == [Item("a", 1, "e", "pear", "k", "7"), Item("e", 10)]
    assert source.most == 10


def test_what_has_no_size_in_the_listing_is_measured_when_it_is_read() -> None:
    same, lost = Content(b"", "v1", not_modified=True), Rejected(Reason.NOT_FOUND, "gone")
    source = Given(b"x" * 10, b"", Content(b"x" * 11, "v"), b"x" * 11, Content(b"x", "v"), same, lost)
    found = fetched(source, [row(uri) for uri in "abcdefg"])
    assert [found[0], *found[4:]] == [b"x" * 10, Content(b"x", "v"), same, lost]
    assert told(found[1:4]) == [
        "EMPTY_OBJECT: it has 0 bytes",
        "TOO_LARGE: it has 11 bytes, limits.max_bytes is 10",
        "TOO_LARGE: it has 11 bytes, limits.max_bytes is 10",
    ]


def test_what_has_a_size_in_the_listing_is_not_measured_again() -> None:
    answers = [b"", Content(b"x" * 20, "v"), Content(b"", "v", not_modified=True)]
    assert fetched(Given(*answers), [row(uri, 5) for uri in "abc"]) == answers


def test_a_version_that_is_known_is_asked_for_and_others_as_they_are_listed() -> None:
    source = Given(b"x", b"y")
    known = SimpleNamespace(etag={"a": '"newest"'}.get)
    fetched(source, [row("a", 1, etag="listed"), row("b", 1, etag="listed too")], known)
    assert [item.etag for item in source.items] == ['"newest"', "listed too"]


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_nothing_but_its_name_is_told_of_what_is_forgotten(
    make_run: MakeRun, settings: Settings, tmp_path: Path, kind: str
) -> None:
    photos = fill(tmp_path / "photos", {f"pear/{name}.jpg": jpeg(at) for at, name in enumerate("abcd")})
    deny.add(settings.lake, "one", [hashlib.sha256(jpeg(1)).hexdigest()], [f"file://{photos}/pear/d.jpg"])
    names = {f"key {name}": f"file://{photos}/pear/{name}.jpg" for name in "abcd"}
    (tmp_path / "t.parquet").write_bytes(parquet({"id": [*names], "photo": [*names.values()]}))
    table = {"kind": "url_table", "table": f"file://{tmp_path}/t.parquet", "url": "photo", "key": "id"}
    run = make_run(table if kind == "table" else photos, {"shard_images": 100})
    manifest.list_source(run, 0)
    local.run_steps(run, THIS_PROCESS, (INGEST,))
    (receipt,) = shards.read_receipts(run.layout, INGEST)
    assert receipt.rejected is not None
    rows = shards.read_staged(receipt.rejected).to_pylist()
    assert [Path(one["uri"]).name for one in rows] == ["b.jpg", "d.jpg"]
    assert {one[name] for one in rows for name in ("image_id", "size", "etag", "label", "key")} == {None}
    assert {(one["reason"], one["detail"]) for one in rows} == {("FORGOTTEN", deny.WHY.detail)}
    frozen = shards.read_staged(receipt.output).to_pylist()
    assert [(Path(one["uri"]).name, one["label"], one["key"]) for one in frozen] == [
        (f"{name}.jpg", "pear", f"key {name}" if kind == "table" else None) for name in "ac"
    ]
    assert (receipt.rows_in, receipt.passed) == (4, 2)


def test_what_another_request_forgets_meanwhile_costs_a_shard_nothing(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fill(tmp_path / "photos", {"a.jpg": jpeg(0)}), {"shard_images": 100})
    manifest.list_source(run, 0)
    real, calls = ingest.fetch_rows, []

    def meanwhile(*given: Any) -> Iterator[Any]:
        calls.append(given)
        deny.add(settings.lake, f"request {len(calls)}", ["ab" * 32], [])
        yield from real(*given)

    monkeypatch.setattr(ingest, "fetch_rows", meanwhile)
    receipt = ingest.run_shard(run, 0)
    assert (receipt.passed, len(calls)) == (1, 1)
    assert shards.read_receipts(run.layout, INGEST) == [receipt]


def test_what_a_shard_has_frozen_before_something_was_forgotten_is_removed(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fill(tmp_path / "photos", {"a.jpg": jpeg(0), "b.jpg": jpeg(1), "empty.jpg": b""})
    run = make_run(photos, {"shard_images": 100})
    manifest.list_source(run, 0)
    real, files = ingest.held, list[str]()

    def noted(receipt: shards.Receipt, forgotten: Any) -> Any:
        files.extend([run.layout.receipt(INGEST, 0), *(file.uri for file in receipt.files)])
        return real(receipt, forgotten)

    def meanwhile(*given: Any) -> Iterator[Any]:
        there.append(storage.exists(run.layout.receipt(INGEST, 0)))
        yield from list(fetch(*given))
        deny.add(settings.lake, "one", [hashlib.sha256(jpeg(1)).hexdigest()], [])

    there, fetch = list[bool](), ingest.fetch_rows
    monkeypatch.setattr(ingest, "held", noted)
    monkeypatch.setattr(ingest, "fetch_rows", meanwhile)
    receipt = ingest.run_shard(run, 0)
    assert receipt.reasons == {"FORGOTTEN": 1, "EMPTY_OBJECT": 1}
    assert there == [False, False], "the shard counts as done no more"
    assert len(files) == 3
    now = {run.layout.receipt(INGEST, 0), *(file.uri for file in receipt.files)}
    kept = {uri for uri in files if Path(uri.removeprefix("file://")).exists()}
    assert kept <= now
    assert read.runs(settings) == []
