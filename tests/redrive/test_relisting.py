"""What a re-drive takes of a listing, beside what was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.datasets import Dataset
from imagefeatures.preview import in_sample
from imagefeatures.redrive.relisting import outer_of
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
