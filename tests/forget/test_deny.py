"""The list of keyed hashes: what is on it, what ingest does with it, and what a lost key is told as."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest, read, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.local import run_steps
from imagefeatures.settings import Settings
from imagefeatures.steps import ingest, register
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

IMAGE = "ab" * 32


def test_a_hash_tells_nothing_without_the_key_and_each_request_adds_to_the_list(settings: Settings) -> None:
    lake = settings.lake
    assert not deny.read(lake)
    first = deny.add(lake, "one", [IMAGE], ["s3://b/1.jpg"])
    assert deny.add(lake, "one", [IMAGE], ["s3://b/1.jpg"]) == first
    deny.add(lake, "two", ["cd" * 32], [])
    denied = deny.read(lake)
    assert len(denied.hashes) == 3
    assert [denied.has_image(one) for one in (IMAGE, "cd" * 32, "ef" * 32, None)] == [True, True, False, False]
    assert [denied.has_uri(uri) for uri in ("s3://b/1.jpg", "s3://b/2.jpg", IMAGE)] == [True, False, False]
    stored = b"".join(storage.read(found.uri) for found in storage.list_objects(f"{lake}/forgotten"))
    assert IMAGE.encode() not in stored
    assert b"1.jpg" not in stored


def test_a_list_whose_key_is_lost_or_another_stops_a_run_in_one_line(settings: Settings) -> None:
    lake = settings.lake
    deny.add(lake, "one", [IMAGE], [])
    key = storage.read(f"{lake}/forgotten/key.json")
    storage.delete(f"{lake}/forgotten/key.json")
    with pytest.raises(AuditFailed, match=r"forgotten/key\.json: is gone, and images are forgotten by it; restore it"):
        deny.read(lake)
    deny.add(lake, "two", [IMAGE], [])
    with pytest.raises(AuditFailed, match=r"one-\w+\.json: is of another key than .*; restore the key$"):
        deny.read(lake)
    storage.write(f"{lake}/forgotten/key.json", key[:-3])
    with pytest.raises(AuditFailed, match=r"key\.json: its \d+ bytes are not what this version wrote"):
        deny.read(lake)


def test_two_first_requests_at_the_same_time_have_one_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = secrets.token_hex

    def other_request_first(size: int) -> str:
        monkeypatch.setattr(secrets, "token_hex", real)
        deny.add(settings.lake, "one", [IMAGE], [])
        return real(size)

    monkeypatch.setattr(secrets, "token_hex", other_request_first)
    deny.add(settings.lake, "two", ["cd" * 32], [])
    assert [deny.read(settings.lake).has_image(one) for one in (IMAGE, "cd" * 32)] == [True, True]


def test_a_key_that_is_gone_as_soon_as_it_is_written_stops_the_request(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deny, "_key", lambda lake: None)
    with pytest.raises(AuditFailed, match=r"forgotten/key\.json: was written, and is gone$"):
        deny.add(settings.lake, "one", [IMAGE], [])


def test_the_state_differs_with_what_is_on_the_list_and_with_what_is_under_way(settings: Settings) -> None:
    states = [deny.state(settings.lake)]
    storage.write(f"{settings.lake}/forgotten/pending/one.json", b"{}")
    states.append(deny.state(settings.lake))
    deny.add(settings.lake, "one", [IMAGE], [])
    states.append(deny.state(settings.lake))
    storage.delete(f"{settings.lake}/forgotten/pending/one.json")
    states.append(deny.state(settings.lake))
    assert len(set(states)) == 4
    assert deny.state(settings.lake) == states[-1]


def test_ingest_fetches_no_forgotten_uri_and_freezes_no_forgotten_image(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    photos = fill(tmp_path / "photos", {f"{name}.jpg": jpeg(at) for at, name in enumerate("abcd")})
    deny.add(settings.lake, "one", [hashlib.sha256(jpeg(1)).hexdigest()], [f"file://{photos}/d.jpg"])
    run = make_run(photos, limits={"max_rejected": 0})  # what is forgotten is no fault of the source
    run_steps(run, THIS_PROCESS)
    row = register.register(run.layout.run_file, settings).row
    assert (row["listed"], row["registered"], dict(row["reasons"])) == (4, 2, {"FORGOTTEN": 2})
    rows = read.table(settings, "quarantine").to_pylist()
    assert sorted(row["uri"].rpartition("/")[2] for row in rows) == ["b.jpg", "d.jpg"]
    assert {row["detail"] for row in rows} == {"it is on the lake's list of images that are forgotten"}
    assert {row[name] for row in rows for name in ("image_id", "size", "etag", "label", "key")} == {None}


def test_what_is_forgotten_while_its_shard_is_fetched_is_not_frozen(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fill(tmp_path / "photos", {f"{name}.jpg": jpeg(at) for at, name in enumerate("abcd")})
    run = make_run(photos)
    shards = manifest.list_source(run, workers=1).shards
    real = ingest.fetch_rows

    def meanwhile(*given: Any) -> Iterator[Any]:
        yield from list(real(*given))
        deny.add(settings.lake, "one", [hashlib.sha256(jpeg(1)).hexdigest()], [f"file://{photos}/a.jpg"])

    monkeypatch.setattr(ingest, "fetch_rows", meanwhile)
    receipts = [ingest.run_shard(run, shard) for shard in range(shards)]
    assert receipts[0].reasons == {"FORGOTTEN": 2}
    assert sum(receipt.output.rows for receipt in receipts) == 2
    staged = b"".join(storage.read(found.uri) for found in storage.list_objects(run.layout.step("ingest")))
    assert [jpeg(at) in staged for at in range(4)] == [False, False, True, True]


def test_what_is_forgotten_of_others_costs_a_shard_nothing(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)}))
    manifest.list_source(run, workers=1)
    real, calls = ingest.fetch_rows, []

    def meanwhile(*given: Any) -> Iterator[Any]:
        calls.append(given)
        deny.add(settings.lake, "one", [IMAGE], [])
        yield from real(*given)

    monkeypatch.setattr(ingest, "fetch_rows", meanwhile)
    receipt = ingest.run_shard(run, 0)
    assert receipt.output.rows == receipt.rows_in > 0
    assert len(calls) == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_that_had_fetched_a_forgotten_uri_is_not_published_and_leaves_nothing(
    make_run: MakeRun, settings: Settings, tmp_path: Path, begun: bool
) -> None:
    """begun: a register that died had begun to publish it, so that a table may name its files."""
    photos = fill(tmp_path / "photos", {f"{name}.jpg": jpeg(at) for at, name in enumerate("abcd")})
    run = make_run(photos)
    run_steps(run, THIS_PROCESS)
    deny.add(settings.lake, "one", [], [f"file://{photos}/d.jpg"])
    if begun:
        storage.write(run.layout.publication, b"as far as it has come")
    with pytest.raises(
        AuditFailed, match=f"^run {run.run_id} holds an image that was forgotten after its fetch; start"
    ):
        register.register(run.layout.run_file, settings)
    assert list(storage.list_objects(run.layout.run)) == []
    left = [found.uri for found in storage.list_objects(f"{settings.lake}/warehouse/features/photos/data")]
    assert bool(left) == begun
    assert read.runs(settings) == []
