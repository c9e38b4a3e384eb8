"""ingest freezes bytes, and rejects an object with the reason."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures import manifest, schemas, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import pending, read_output, read_receipts
from imagefeatures.steps import ingest
from support.ingesting import ingested
from support.listing import WORKERS, sparse
from support.photos import fill, jpeg
from support.shared import BUCKET, MakeRun
from support.unprivileged import folder_of_nobody


@pytest.fixture(params=["file", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty source folder, once in each kind of store."""
    if request.param == "file":
        return f"file://{tmp_path}/photos"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/photos"


def test_bytes_are_frozen_with_size_digest_label_and_etag(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"{label}/{at}.jpg": jpeg(at) for label in ("fig", "pear") for at in range(3)}
    source = fill(tmp_path / "photos", files)
    run = make_run(source)
    frozen, rejected = ingested(run)
    assert rejected == {}
    assert set(frozen) == {f"file://{source}/{name}" for name in files}
    for name, data in files.items():
        row = frozen[f"file://{source}/{name}"]
        assert row["data"] == data
        assert (row["size"], row["image_id"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert row["label"] == name.split("/")[0]
        assert row["etag"]
    assert read_output(run.layout, "ingest", 0).schema.remove_metadata() == schemas.RAW.remove_metadata()


def test_a_retry_does_only_the_shard_whose_receipt_is_gone(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(8)})
    run = make_run(source)
    ingested(run)
    before = read_receipts(run.layout, steps.INGEST)
    assert pending(run.layout, steps.INGEST, len(before)) == []
    Path(run.layout.receipt(steps.INGEST, 1).removeprefix("file://")).unlink()
    assert pending(run.layout, steps.INGEST, len(before)) == [1]
    again = ingest.run_shard(run, 1)
    after = read_receipts(run.layout, steps.INGEST)
    assert [r for r in after if r.shard != 1] == [r for r in before if r.shard != 1]
    assert after[1] == again
    assert again.output.sha256 == before[1].output.sha256  # the same rows, in a file with a new name
    assert again.output.uri != before[1].output.uri


def test_an_empty_object_is_turned_away(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"empty.jpg": b"", "full.jpg": jpeg()})
    frozen, rejected = ingested(make_run(source))
    assert rejected == {f"file://{source}/empty.jpg": ("EMPTY_OBJECT", "it has 0 bytes")}
    assert set(frozen) == {f"file://{source}/full.jpg"}


def test_an_object_over_the_limit_is_turned_away_without_a_download(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"exact.jpg": b"x" * 1000, "over.jpg": b"x" * 1001})
    run = make_run(source, limits={"max_bytes": 1000})
    manifest.list_source(run, WORKERS)
    (source / "over.jpg").unlink()  # a download would fail now
    frozen, rejected = ingested(run)
    detail = "it has 1,001 bytes, limits.max_bytes is 1,000"
    assert rejected == {f"file://{source}/over.jpg": ("TOO_LARGE", detail)}
    assert set(frozen) == {f"file://{source}/exact.jpg"}


def test_a_huge_object_that_is_not_downloaded_does_not_fill_a_shard(make_run: MakeRun, tmp_path: Path) -> None:
    source = sparse(tmp_path / "photos", [100, 3 * 2**40, 100])
    frozen, rejected = ingested(make_run(source, {"shard_images": 3}))
    assert rejected[f"file://{source}/00001.jpg"][0] == "TOO_LARGE"
    assert len(frozen) == 2


def test_an_object_that_is_gone_is_turned_away(make_run: MakeRun, base: str) -> None:
    storage.write(f"{base}/there/1.jpg", b"one")
    storage.write(f"{base}/gone/2.jpg", b"two")
    run = make_run(f"{base}/")
    manifest.list_source(run, WORKERS)
    storage.delete_folder(f"{base}/gone")
    frozen, rejected = ingested(run)
    assert rejected == {f"{base}/gone/2.jpg": ("NOT_FOUND", "it was listed, and gone when it was read")}
    assert set(frozen) == {f"{base}/there/1.jpg"}


def test_an_object_that_was_replaced_is_turned_away_with_both_etags(make_run: MakeRun, base: str) -> None:
    storage.write(f"{base}/1.jpg", b"one")
    storage.write(f"{base}/2.jpg", b"two")
    run = make_run(f"{base}/")
    manifest.list_source(run, WORKERS)
    before = {found.uri: found.etag for found in storage.list_objects(base)}
    storage.write(f"{base}/2.jpg", b"TWO")
    after = {found.uri: found.etag for found in storage.list_objects(base)}
    frozen, rejected = ingested(run)
    uri = f"{base}/2.jpg"
    detail = f"listed with ETag {before[uri]}, read with {after[uri]}"
    assert rejected == {uri: ("CHANGED_DURING_RUN", detail)}
    assert set(frozen) == {f"{base}/1.jpg"}


def test_odd_names_are_frozen_byte_for_byte(make_run: MakeRun, base: str) -> None:
    names = ["é 1+%20#.jpg", "e\u0301.jpg", "😀?&=.jpg", "quotes'\".jpg", "<img onerror=x>.jpg"]
    for name in names:
        storage.write(f"{base}/{name}", name.encode())
    frozen, rejected = ingested(make_run(f"{base}/"))
    assert {uri: row["data"] for uri, row in frozen.items()} == {f"{base}/{name}": name.encode() for name in names}
    assert rejected == {}


def test_whatever_lies_in_a_folder_is_a_row_or_an_object(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"a/1.jpg": b"one", "a/2.jpg": b"two"})
    outside = fill(tmp_path / "outside", {"secret.jpg": b"secret"})
    os.mkfifo(source / "fifo.jpg")
    (source / "secret.jpg").symlink_to(outside / "secret.jpg")
    (source / "secrets").symlink_to(outside)
    (source / "self.jpg").symlink_to("self.jpg")
    (source / "latest").symlink_to("a")
    (source / "notes.txt").symlink_to("nowhere")  # does not match the pattern
    run = make_run(source, pattern="*.jpg")
    manifest.list_source(run, WORKERS)
    (source / "a/2.jpg").unlink()
    (source / "a/2.jpg").symlink_to(outside / "secret.jpg")
    frozen, rejected = ingested(run)
    assert {uri: row["data"] for uri, row in frozen.items()} == {f"file://{source}/a/1.jpg": b"one"}
    assert {uri.removeprefix(f"file://{source}/"): reason for uri, (reason, _) in rejected.items()} == {
        "a/2.jpg": "LINK_OUTSIDE",
        "fifo.jpg": "NOT_A_FILE",
        "latest/": "LINK_TO_FOLDER",
        "secret.jpg": "LINK_OUTSIDE",
        "secrets/": "LINK_OUTSIDE",
        "self.jpg": "LINK_BROKEN",
    }


def test_closed_files_and_folders_are_rows_and_the_others_are_frozen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_of_nobody() as folder:
        source = fill(folder / "photos", {"1.jpg": b"one", "2.jpg": b"two", "closed/3.jpg": b"three"})
        (source / "2.jpg").chmod(0)
        (source / "closed").chmod(0)
        deployment = dataclasses.replace(
            settings, lake=f"file://{folder}/lake", catalog=f"sqlite:///{folder}/catalog.db"
        )
        dataset = Dataset(name="photos", source=f"file://{source}/", pattern=["*.jpg"])
        run = load_run(plan_run(dataset, RunParams(), "2026-11-02", deployment), deployment.lake)
        frozen, rejected = ingested(run)
        assert set(frozen) == {f"file://{source}/1.jpg"}
        assert rejected == {
            f"file://{source}/2.jpg": ("NOT_READABLE", "permission denied"),
            f"file://{source}/closed/": ("NOT_READABLE", "permission denied"),
        }


def test_links_that_point_at_each_other_are_rows(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"one"})
    (source / "a.jpg").symlink_to("b.jpg")
    (source / "b.jpg").symlink_to("a.jpg")
    (source / "x").symlink_to("y")
    (source / "y").symlink_to("x")
    frozen, rejected = ingested(make_run(source))
    assert set(frozen) == {f"file://{source}/1.jpg"}
    circle = ("LINK_BROKEN", "it is a link that leads in a circle")
    assert rejected == {f"file://{source}/{name}": circle for name in ("a.jpg", "b.jpg", "x", "y")}


def test_a_name_that_is_not_utf8_is_turned_away_with_a_readable_uri(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"good.jpg": b"x"})
    Path(os.fsdecode(os.fsencode(source) + b"/bad\xff.jpg")).write_bytes(b"x")
    frozen, rejected = ingested(make_run(source))
    ((uri, (reason, detail)),) = rejected.items()
    assert (uri, reason) == (f"file://{source}/bad\\udcff.jpg", "BAD_KEY")
    assert "not UTF-8" in detail
    assert set(frozen) == {f"file://{source}/good.jpg"}


def test_every_object_of_a_mixed_folder_ends_once(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"{at % 7}/{at}.jpg": jpeg(at) if at % 5 else b"" for at in range(60)}
    source = fill(tmp_path / "photos", files | {"big.jpg": b"x" * 20_000})
    run = make_run(source, {"shard_images": 7}, limits={"max_bytes": 10_000})
    manifest.list_source(run, WORKERS)
    for at in (1, 2, 3):
        (source / f"{at}/{at}.jpg").unlink()
    (source / "4/4.jpg").write_bytes(b"another")
    _, rejected = ingested(run)
    counts = Counter(reason for reason, _ in rejected.values())
    assert counts == {"EMPTY_OBJECT": 12, "TOO_LARGE": 1, "NOT_FOUND": 3, "CHANGED_DURING_RUN": 1}
