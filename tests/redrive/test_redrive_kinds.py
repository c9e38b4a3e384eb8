"""Re-drives of every kind of source, of folders and archives as a whole, and of duplicates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput
from imagefeatures.settings import Settings
from support.catalog_doors import EVERY_DOOR
from support.doors import BAD, DOORS, GOOD, Door, parquet, tar
from support.photos import fill, jpeg
from support.processor_configs import MOBILENET
from support.redriving import Partition, without_run
from support.shared import PARTITION

QUICK = ("uri_list_of_lines",)
"""For every change, as are archives and duplicates; the others are for make test-cluster."""


def published(source: Any, settings: Settings, **fields: Any) -> Partition:
    dataset = Dataset.model_validate({"name": "photos", "source": source, "limits": {"max_rejected": 1}, **fields})
    partition = Partition(dataset, settings)
    partition.publish()
    return partition


@pytest.fixture(params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in EVERY_DOOR])
def door(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Door:
    return EVERY_DOOR[request.param](f"file://{tmp_path}/in here")


def test_every_kind_of_source_finds_again_what_was_quarantined(door: Door, settings: Settings) -> None:
    partition = published(door.source, settings)
    features, quarantine = without_run(partition.features), partition.quarantine
    assert {uri: row["reason"] for uri, row in quarantine.items()} == door.rejected
    outcome = partition.redrive()
    assert outcome.summary["redriven"] == len(door.rejected)
    partition.check()
    assert without_run(partition.features) == features
    told = [
        {uri: (row["reason"], row["key"], row["label"]) for uri, row in rows.items()}
        for rows in (quarantine, partition.quarantine)
    ]
    assert told[0] == told[1]
    assert dict(partition.run["passed_over"]) == door.passed


def test_a_preprocessor_config_is_read_again(tmp_path: Path, settings: Settings) -> None:
    fill(tmp_path / "photos", {"a.jpg": jpeg(1), "b.jpg": b""})
    config = tmp_path / "preprocessor_config.json"
    config.write_text(json.dumps(MOBILENET))
    chain = {"preprocessor_config": f"file://{config}"}
    partition = published(f"file://{tmp_path}/photos/", settings, preprocess=chain)
    (tmp_path / "photos" / "b.jpg").write_bytes(jpeg(2))
    partition.redrive()
    partition.check()
    assert (len(partition.features), partition.quarantine) == (2, {})


def test_the_images_of_an_archive_that_was_damaged_come_with_it(tmp_path: Path, settings: Settings) -> None:
    door = DOORS["tar_shards"](f"file://{tmp_path}/in")
    partition = published(door.source, settings)
    (cut,) = [uri for uri, reason in door.rejected.items() if reason == "CORRUPT"]
    before = without_run(partition.features)
    whole = tar([(f"{name}.jpg", jpeg(8 + at)) for at, name in enumerate("abcd")] + [("e.jpg", BAD["text"])])
    storage.write(cut, whole)
    outcome = partition.redrive(uris=[cut])
    assert outcome.summary["redriven"] == 3  # c, d and e: a and b are published
    partition.check()
    after = without_run(partition.features)
    assert after.keys() == before.keys() | {f"{cut}#c.jpg", f"{cut}#d.jpg"}
    assert {uri: after[uri] for uri in before} == before
    assert partition.quarantine.keys() == door.rejected.keys() - {cut} | {f"{cut}#e.jpg"}
    assert after[f"{cut}#d.jpg"]["key"] == "d"


@pytest.mark.long
def test_an_archive_that_is_whole_again_without_a_new_image_loses_its_row(tmp_path: Path, settings: Settings) -> None:
    door = DOORS["tar_shards"](f"file://{tmp_path}/in")
    partition = published(door.source, settings)
    (cut,) = [uri for uri, reason in door.rejected.items() if reason == "CORRUPT"]
    before = without_run(partition.features)
    storage.write(cut, tar([("a.jpg", jpeg(8)), ("b.jpg", jpeg(9))]))
    assert partition.redrive(reason="CORRUPT").summary["redriven"] == 0
    partition.check()
    assert without_run(partition.features) == before
    assert partition.quarantine.keys() == door.rejected.keys() - {cut}


@pytest.mark.long
def test_the_rows_of_a_parquet_file_that_was_none_come_with_it(tmp_path: Path, settings: Settings) -> None:
    door = DOORS["parquet_of_bytes"](f"file://{tmp_path}/in")
    partition = published(door.source, settings)
    (none,) = [uri for uri, reason in door.rejected.items() if reason == "CORRUPT"]
    storage.write(none, parquet({"id": ["x", "y"], "photo": GOOD[:2], "kind": ["fig", "pear"]}))
    partition.redrive(reason="CORRUPT")
    partition.check()
    assert partition.features.keys() == door.good.keys() | {f"{none}#0", f"{none}#1"}
    assert partition.features[f"{none}#1"]["key"] == "y"


@pytest.mark.long
def test_a_file_that_is_gone_and_a_file_that_is_damaged_now_keep_their_rows(tmp_path: Path, settings: Settings) -> None:
    door = DOORS["parquet_of_bytes"](f"file://{tmp_path}/in")
    partition = published(door.source, settings)
    storage.write(f"file://{tmp_path}/in/2026-11-02/part-0.parquet", b"none any more")
    (tmp_path / "in/2026-11-02/part-2.parquet").unlink()
    partition.redrive()
    partition.check()
    assert {row["reason"] for row in partition.quarantine.values()} == {"NOT_FOUND"}
    assert partition.quarantine.keys() == door.rejected.keys()
    assert partition.features.keys() == door.good.keys()


@pytest.mark.long
def test_a_folder_that_could_not_be_entered_is_entered(tmp_path: Path, settings: Settings) -> None:
    photos = fill(tmp_path / "photos", {f"{PARTITION}/a.jpg": jpeg(1)})
    away = fill(tmp_path / "away", {"b.jpg": jpeg(2), "deep/c.jpg": jpeg(3)})
    link = photos / PARTITION / "more"
    link.symlink_to(away)
    partition = published(f"file://{photos}/{{partition}}/", settings)
    (uri,) = partition.quarantine
    assert uri.startswith(f"file://{link}")
    link.unlink()
    away.rename(link)
    partition.redrive()
    partition.check()
    names = {found.removeprefix(f"file://{photos}/{PARTITION}/") for found in partition.features}
    assert (names, partition.quarantine) == ({"a.jpg", "more/b.jpg", "more/deep/c.jpg"}, {})


def test_bytes_that_are_published_already_are_a_duplicate(tmp_path: Path, settings: Settings) -> None:
    photos = fill(tmp_path / "photos", {f"{PARTITION}/{name}.jpg": b"" for name in ("a", "c", "d")})
    fill(photos, {f"{PARTITION}/b.jpg": jpeg(1)})
    partition = published(f"file://{photos}/{{partition}}/", settings, duplicates="reject")
    fill(photos, {f"{PARTITION}/a.jpg": jpeg(1), f"{PARTITION}/c.jpg": jpeg(2), f"{PARTITION}/d.jpg": jpeg(2)})
    partition.redrive()
    partition.check()
    names = {uri.rsplit("/", 1)[-1]: row for uri, row in partition.quarantine.items()}
    assert {name: row["reason"] for name, row in names.items()} == {"a.jpg": "DUPLICATE", "d.jpg": "DUPLICATE"}
    assert names["a.jpg"]["detail"].endswith("/b.jpg")  # the published one is kept, though its name comes later
    assert names["d.jpg"]["detail"].endswith("/c.jpg")


@pytest.mark.long
def test_a_name_that_cannot_be_written_keeps_its_reason(tmp_path: Path, settings: Settings) -> None:
    photos = fill(tmp_path / "photos", {f"{PARTITION}/a.jpg": jpeg(1), f"{PARTITION}/b.jpg": b""})
    for name in (b"\xff.jpg", b"\\udcff.jpg"):
        Path(os.fsdecode(os.fsencode(photos / PARTITION) + b"/" + name)).write_bytes(jpeg(2))
    partition = published(f"file://{photos}/{{partition}}/", settings)
    before = {uri: (row["reason"], row["detail"]) for uri, row in partition.quarantine.items()}
    assert sorted(reason for reason, _ in before.values()) == ["BAD_KEY", "EMPTY_OBJECT"]
    partition.redrive()
    partition.check()
    assert {uri: (row["reason"], row["detail"]) for uri, row in partition.quarantine.items()} == before


@pytest.mark.long
@pytest.mark.parametrize("on_empty", ["fail", "skip"])
def test_a_source_that_is_empty_now_is_an_error_or_leaves_every_row_as_not_found(
    on_empty: str, tmp_path: Path, settings: Settings
) -> None:
    photos = fill(tmp_path / "photos", {f"{PARTITION}/a.jpg": jpeg(1), f"{PARTITION}/b.jpg": b""})
    partition = published(f"file://{photos}/{{partition}}/", settings, on_empty=on_empty)
    before = partition.run
    for path in (photos / PARTITION).iterdir():
        path.unlink()
    if on_empty == "fail":  # as for any run: it may be a folder that is not mounted
        with pytest.raises(NoInput):
            partition.redrive()
        assert partition.run == before
        return
    partition.redrive()
    partition.check()
    assert [row["reason"] for row in partition.quarantine.values()] == ["NOT_FOUND"]
    assert len(partition.features) == 1  # a re-drive removes no feature
