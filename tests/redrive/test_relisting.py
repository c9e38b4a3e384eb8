"""What a re-drive takes of a listing, beside what was chosen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from imagefeatures import schemas, storage
from imagefeatures.datasets import Dataset
from imagefeatures.layout import Layout
from imagefeatures.preview import in_sample
from imagefeatures.redrive import relisting, selection
from imagefeatures.redrive.relisting import holder_of, outer_of
from imagefeatures.redrive.selection import Selection
from imagefeatures.settings import Settings
from imagefeatures.sources import Folder, Tar, UriList
from support.doors import tar
from support.photos import jpeg
from support.redriving import Partition


@pytest.mark.parametrize(
    ("source", "outer"),
    [
        (Folder(kind="folder", uri="file:///a/"), {"file:///a/b/"}),
        (Tar(kind="tar", uri="file:///a/"), {"file:///a/b/", "file:///a/c"}),
        (UriList(kind="uri_list", uri="file:///a/list.txt"), set()),
    ],
    ids=["folder", "tar", "uri_list"],
)
def test_only_folders_and_archives_hold_others(source: Folder | Tar | UriList, outer: set[str]) -> None:
    assert outer_of(source, ["file:///a/b/", "file:///a/c"]) == outer


def test_of_an_archive_that_was_damaged_the_members_in_the_sample_come_and_bad_names_as_rows(
    tmp_path: Path, settings: Settings
) -> None:
    uri = f"file://{tmp_path}/in/a.tar"
    members = [(f"{at}.jpg", jpeg(at)) for at in range(40)]
    storage.write(uri, b"no archive")
    source = {"kind": "tar", "uri": f"file://{tmp_path}/in/"}
    given = {"name": "photos", "source": source, "limits": {"max_rejected": 1}, "on_empty": "skip"}
    partition = Partition(Dataset.model_validate(given | {"sample": 1}), settings)
    partition.publish()
    assert set(partition.quarantine) == {uri}
    partition = Partition(Dataset.model_validate(given | {"sample": 0.5}), settings)
    storage.write(uri, tar([*members, *((f"caf\udce9{at}.jpg", jpeg(99 + at)) for at in range(9))]))
    partition.redrive()
    partition.check()
    assert set(partition.features) == {f"{uri}#{name}" for name, _ in members if in_sample(0.5, f"{uri}#{name}")}
    bad = [rf"{uri}#caf\udce9{at}.jpg" for at in range(9)]
    reasons = {name: row["reason"] for name, row in partition.quarantine.items()}
    assert reasons == {name: "BAD_KEY" for name in bad if in_sample(0.5, name)}


@pytest.mark.parametrize(
    ("uri", "holder"),
    [
        ("s3://b/1.tar#a", "s3://b/1.tar"),
        ("s3://b/1.tar#a/b.jpg", "s3://b/1.tar"),
        ("file:///a/b/c.jpg", "file:///a/"),
        ("file:///a/photos/c.jpg", "file:///a/"),
        ("file:///a/", None),
        ("file:///a", None),
        ("s3://b/1.tar", None),
        ("s3://b/2.tar#a", None),
    ],
)
def test_an_object_lies_in_a_folder_or_behind_the_name_of_an_archive(uri: str, holder: str | None) -> None:
    assert holder_of(uri, {"s3://b/1.tar", "file:///a/"}) == holder
    assert holder_of(uri, ()) is None


def quarantined(uri: str, reason: str = "CORRUPT") -> dict[str, Any]:
    return {
        "partition_key": "day", "dataset": "photos", "uri": uri, "step": "ingest", "reason": reason,
        "detail": f"why of {uri}", "run_id": "r", "quarantined_at": 0, "size": 7, "etag": "e", "label": "l", "key": "k",
    }  # fmt: skip


def relisted(tmp_path: Path, sample: float, uris: list[str], bad: str) -> list[dict[str, Any]]:
    """What a re-drive lists of these URIs. bad: the one whose name cannot be written."""
    chosen = [quarantined("s3://b/1.tar"), quarantined("s3://b/1.tar#again"), quarantined("s3://b/2.tar")]
    chosen.append(quarantined(bad, "BAD_KEY"))
    layout = Layout(f"file://{tmp_path}", "photos", "day", "20261103T000000-0a1b2c3d")
    tables = [pa.Table.from_pylist(rows, schema=schemas.QUARANTINE) for rows in (chosen, [])]
    selection.write(layout, Selection("r", [], *tables, ["s3://b/1.tar#old"], sample))
    run = cast("Any", SimpleNamespace(layout=layout, redrive="r", source=Tar(kind="tar", uri="s3://b/")))
    rows = [{"uri": uri, "reason": "BAD_KEY" if uri == bad else None} for uri in uris]
    return list(relisting.only_chosen(run, rows))


def test_of_a_listing_what_was_chosen_comes_what_is_new_in_it_and_a_row_for_what_is_gone(tmp_path: Path) -> None:
    bad = "s3://b/bad"
    listed = ["s3://b/1.tar#again", "s3://b/1.tar#new", "s3://b/1.tar#old", "s3://b/3.tar#x", bad]
    facts = {"size": 7, "etag": "e", "label": "l", "key": "k", "locator": None, "weight": None}
    gone = {"uri": "s3://b/2.tar", "reason": "NOT_FOUND", "detail": "the source no longer lists it"} | facts
    still_bad = {"uri": bad, "reason": "BAD_KEY", "detail": f"why of {bad}"} | facts
    again, new = ({"uri": uri, "reason": None} for uri in listed[:2])
    assert relisted(tmp_path, 1, listed, bad) == [again, new, gone, still_bad]
    assert relisted(tmp_path, 1e-9, listed, bad) == [again, gone, still_bad]  # the new one is not in the sample
    assert [row["uri"] for row in relisted(tmp_path, 1, [], bad)] == [
        "s3://b/1.tar", "s3://b/1.tar#again", "s3://b/2.tar", bad,
    ]  # fmt: skip


def test_only_a_re_drive_is_merged_into_published_files() -> None:
    assert relisting.published_files(cast("Any", SimpleNamespace(layout=None, redrive=None))) == []
