"""exports to S3: each object whole or absent, nothing overwritten unasked, what a killed export left is replaced."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import storage
from imagefeatures.errors import InputError, StoreError, StoreRefused
from imagefeatures.exports import export
from imagefeatures.settings import Settings
from imagefeatures.storage import s3_upload
from imagefeatures.storage.s3_upload import S3Upload
from support.disks import needs_mounts, tmpfs
from support.exporting import exported, publish, rows_of
from support.shared import BUCKET

PART = 5 << 20
"""The least that S3 takes as a part."""


@pytest.fixture(params=["moto", pytest.param("minio", marks=pytest.mark.long)])
def client(request: pytest.FixtureRequest) -> Any:
    """A boto3 client; its store has the bucket BUCKET, and the environment points at it."""
    if request.param == "moto":
        return request.getfixturevalue("s3")
    server = request.getfixturevalue("_real_stores")("minio")
    aws_env, session = request.getfixturevalue("aws_env"), request.getfixturevalue("_s3_session")
    aws_env.setenv("AWS_ENDPOINT_URL", server.address)
    aws_env.setattr("boto3.DEFAULT_SESSION", session)
    return session.client("s3", endpoint_url=server.address)


@pytest.fixture
def place(client: Any, tmp_path: Path) -> str:
    """A folder of the bucket that nothing is in."""
    return f"{BUCKET}/{tmp_path.name}"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of two parts and a bit."""
    path = tmp_path / "large"
    path.write_bytes(np.random.default_rng(0).bytes(2 * PART + 77))
    return path


@pytest.fixture
def _table(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(70))])


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files in a folder of the test's own; parts are as small as they may be."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert s3_upload.PART >= PART
    monkeypatch.setattr(s3_upload, "PART", PART)


def unfinished(client: Any) -> list[str]:
    return [upload["Key"] for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


# One large object


def test_a_large_file_is_sent_in_parts_and_kept_when_it_is_there(client: Any, place: str, large: Path) -> None:
    assert S3Upload().upload(f"{place}/a", large, only_if_absent=True)
    key = f"{place}/a".removeprefix(f"{BUCKET}/")
    head = client.head_object(Bucket=BUCKET, Key=key)
    assert head["ETag"].strip('"').endswith("-3")
    data = storage.read(f"s3://{place}/a")
    assert data == large.read_bytes()
    large.write_bytes(bytes(2 * PART))
    assert not S3Upload().upload(f"{place}/a", large, only_if_absent=True)
    assert storage.read(f"s3://{place}/a") == data
    assert unfinished(client) == []
    assert S3Upload().upload(f"{place}/a", large, only_if_absent=False)
    assert storage.read(f"s3://{place}/a") == bytes(2 * PART)


def test_an_answer_that_is_lost_at_the_end_is_no_failure(client: Any, place: str, large: Path) -> None:
    store = S3Upload()
    real = store._client.complete_multipart_upload
    answers = [ConnectionResetError("lost")]

    def lost(**request: Any) -> Any:
        done = real(**request)
        if answers:
            raise answers.pop()
        return done

    store._client.complete_multipart_upload = lost
    assert store.upload(f"{place}/a", large, only_if_absent=True)
    assert storage.read(f"s3://{place}/a") == large.read_bytes()


def test_a_part_that_is_refused_leaves_no_object_and_no_parts(client: Any, place: str, large: Path) -> None:
    from botocore.exceptions import ClientError

    store = S3Upload()

    def refused(**request: Any) -> Any:
        raise ClientError(
            {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "UploadPart"
        )

    store._client.upload_part = refused
    with pytest.raises(StoreRefused, match=r"/a: the store refuses \(AccessDenied\)"):
        store.upload(f"{place}/a", large, only_if_absent=True)
    assert unfinished(client) == []
    assert list(storage.list_objects(f"s3://{place}")) == []


def test_a_bucket_that_is_not_there_is_told(client: Any, large: Path) -> None:
    with pytest.raises(StoreRefused, match=r"s3://nowhere-at-all/a: there is no such bucket"):
        S3Upload().upload("nowhere-at-all/a", large, only_if_absent=True)


def test_an_object_is_deleted_also_where_there_is_none(client: Any, place: str) -> None:
    storage.write(f"s3://{place}/a", b"x")
    for _ in range(2):
        S3Upload().delete(f"{place}/a")
    assert list(storage.list_objects(f"s3://{place}")) == []


# An export


@pytest.mark.usefixtures("_table")
def test_an_object_is_the_file_and_replaced_only_when_it_is_asked_for(
    client: Any, place: str, settings: Settings, tmp_path: Path
) -> None:
    exported(settings, tmp_path / "here" / "out.npy")
    exported(settings, f"s3://{place}/out.npy")
    for name in ("out.npy", "out.parquet"):
        assert storage.read(f"s3://{place}/{name}") == (tmp_path / "here" / name).read_bytes()
    with pytest.raises(InputError, match=r"out\.parquet: exists; --overwrite replaces it"):
        exported(settings, f"s3://{place}/out.npy")
    publish(settings, tmp_path, [rows_of(range(5))])
    exported(settings, f"s3://{place}/out.npy", overwrite=True)
    assert len(storage.read(f"s3://{place}/out.npy")) == 128 + 5 * 24 * 4
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("_table")
def test_a_folder_counts_once_its_list_is_there(
    client: Any, place: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["export.json", "img_emb/img_emb_0000.npy", "metadata/metadata_0000.parquet"]
    target = f"s3://{place}/"

    def killed(self: S3Upload, path: str, *rest: Any) -> bool:
        if path.endswith(".parquet"):
            raise KeyboardInterrupt
        return upload(self, path, *rest)

    upload: Callable[..., bool] = S3Upload.upload
    with monkeypatch.context() as patch:
        patch.setattr(S3Upload, "upload", killed)
        with pytest.raises(KeyboardInterrupt):
            exported(settings, target, format="npy")
    assert found(place) == [names[1], "unfinished.json"]
    exported(settings, target, format="npy")  # nobody reads what it replaces
    assert found(place) == names
    with pytest.raises(InputError, match=r": exists; --overwrite replaces it"):
        exported(settings, target, format="npy")
    exported(settings, target, format="webdataset", overwrite=True)
    assert found(place) == ["00000.tar", "export.json"]
    assert json.loads(storage.read(f"{target}export.json"))["files"].keys() == {"00000.tar"}


@pytest.mark.usefixtures("_table")
def test_a_folder_with_other_objects_is_not_replaced(client: Any, place: str, settings: Settings) -> None:
    storage.write(f"s3://{place}/photo.jpg", b"mine")
    for overwrite, says in ((False, "exists; --overwrite"), (True, "is no export, so it is not replaced")):
        with pytest.raises(InputError, match=says):
            exported(settings, f"s3://{place}/", format="npy", overwrite=overwrite)
    assert found(place) == ["photo.jpg"]


def found(place: str) -> list[str]:
    return sorted(entry.uri.removeprefix(f"s3://{place}/") for entry in storage.list_objects(f"s3://{place}"))


def test_a_store_that_does_not_answer_is_told(
    aws_env: pytest.MonkeyPatch, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3_upload, "RETRY_SECONDS", 0.2)
    with pytest.raises(StoreError, match=r"s3://images/a: no answer in 0 s"):
        S3Upload().upload("images/a", large, only_if_absent=True)


@needs_mounts
@pytest.mark.usefixtures("_table")
def test_a_full_folder_of_temporary_files_is_told_in_one_line(
    settings: Settings, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = export.Request("photos", f"s3://{place}/out.npy")
    with tmpfs(tmp_path / "disk", 1 << 20) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        ready = export.prepare(settings, request)
        (disk / "other").write_bytes(bytes((1 << 20) - (8 << 10)))
        with pytest.raises(StoreRefused, match=r"the export takes about .* are free; free some space there"):
            ready.write()
        full = r"no space left on its file system \(.* free\); free some space there, then try again"
        with pytest.raises(StoreRefused, match=full):
            replace(ready, bytes=0).write()  # an estimate that was too small
        with pytest.raises(StoreRefused, match=full):
            export.prepare(settings, request)
        assert [path.name for path in disk.iterdir()] == ["other"]
    assert not list(storage.list_objects(f"s3://{place}"))
