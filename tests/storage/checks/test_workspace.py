"""The folder of the checks: what is remembered of it, and that nothing of it stays without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage.checks import check_store
from imagefeatures.storage.checks.workspace import Workspace
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from support.shared import BUCKET


def test_the_bare_client_waits_seconds_and_tries_twice(s3: Any) -> None:
    config = Workspace(f"s3://{BUCKET}/checks").client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 20)
    assert config.retries["total_max_attempts"] == 2


def test_what_no_listing_shows_is_removed_by_its_name(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(f"s3://{BUCKET}/some/checks")
    storage.write(workspace("one"), b"")
    s3.put_object(**workspace.raw("deep/two"), Body=b"")
    workspace("never/stored")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == ["some/checks/deep/two", "some/checks/one"]
    monkeypatch.setattr(storage, "list_objects", lambda uri: iter(()))
    monkeypatch.setattr(storage, "delete_folder", lambda uri: None)
    workspace.remove()
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_folder_of_files_is_removed_without_a_client(tmp_path: Path) -> None:
    workspace = Workspace(f"file://{tmp_path}/checks")
    storage.write(workspace("one"), b"")
    workspace.client = None
    workspace.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stays_is_deleted_three_times_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(f"file://{tmp_path}/checks")
    storage.write(workspace("one"), b"")
    deleted: list[str] = []
    monkeypatch.setattr(storage, "delete_folder", deleted.append)
    with pytest.raises(StoreError, match=r"/checks/ is left behind, remove it yourself \(deleting has no effect\)$"):
        workspace.remove()
    assert deleted == [workspace.uri] * 3


@pytest.mark.parametrize("error", [StoreError("no answer"), ObjectMissing("no answer"), OSError("no answer")])
def test_an_error_at_removing_names_the_folder(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(uri: str) -> None:
        raise error

    monkeypatch.setattr(storage, "delete_folder", fails)
    with pytest.raises(StoreError, match=r"/checks/ is left behind, remove it yourself \(no answer\)$"):
        Workspace(f"file://{tmp_path}/checks").remove()


@pytest.mark.parametrize("error", [ObjectMissing("404"), ObjectChanged("412")])
def test_a_store_that_takes_no_object_is_refused_before_the_first_check(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    def fails(uri: str, data: bytes) -> None:
        given.append(data)
        raise error

    monkeypatch.setattr(storage, "write", fails)
    with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}: the store accepts no object there \(4"):
        next(check_store(f"file://{tmp_path}"))
    assert given == [b""]
