"""The keys of the containers' object store, on a real MinIO: what each may do, and what not even by mistake."""

from __future__ import annotations

import doctest
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy.compose import bucket
from support import servers
from support.shared import AWS

ROOT = (AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
KEYS = {"OBJECT_STORE": "service", "OBJECT_STORE_READER": "reader", "OBJECT_STORE_UPLOADER": "uploader"}

READS = ("read photo", "read table", "read source", "read other")
WRITES = ("write photo", "write table", "write source", "write other")
MAY = {
    "service": {"read photo", "read table", "read source", "write table"},
    "reader": {"read table"},
    "uploader": {"read photo", "read table", "write photo"},
}


def test_the_examples_are_true() -> None:
    results = doctest.testmod(bucket)
    assert results.attempted
    assert not results.failed


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of bucket-init, in front of a MinIO with one foreign bucket and one source bucket."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        env = {
            "AWS_ENDPOINT_URL": server.address,
            "IMAGEFEATURES_LAKE": "s3://ours/lake",
            "SOURCE_BUCKETS": "source, ",
            "OBJECT_STORE_KIND": "minio",
            "OBJECT_STORE_ROOT_USER": ROOT[0],
            "OBJECT_STORE_ROOT_PASSWORD": ROOT[1],
        }
        for prefix, name in KEYS.items():
            env |= {f"{prefix}_ACCESS_KEY": name, f"{prefix}_SECRET_KEY": secrets.token_hex(20)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", server.address)
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("NO_PROXY", "127.0.0.1")
            root = client(env, *ROOT)
            for name in ("source", "other"):
                root.create_bucket(Bucket=name)
            bucket.main(env)
            bucket.main(env)  # as at the next start
            for name, key in (("ours", "photos/1"), ("ours", "lake/1"), ("source", "1"), ("other", "1")):
                root.put_object(Bucket=name, Key=key, Body=b"x")
            yield env


def client(env: dict[str, str], key: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )


def allowed(work: Callable[[], object]) -> bool:
    try:
        work()
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
        return False
    return True


@pytest.mark.parametrize(("prefix", "name"), KEYS.items())
def test_a_key_may_do_what_its_services_need_and_nothing_else(store: dict[str, str], prefix: str, name: str) -> None:
    s3 = client(store, name, store[f"{prefix}_SECRET_KEY"])
    places = {
        "photo": ("ours", "photos/1"),
        "table": ("ours", "lake/1"),
        "source": ("source", "1"),
        "other": ("other", "1"),
    }
    did = set()
    for what, (where, key) in places.items():
        if allowed(lambda where=where, key=key: s3.get_object(Bucket=where, Key=key)):
            did.add(f"read {what}")
        writes = [
            allowed(lambda where=where, key=key: s3.put_object(Bucket=where, Key=key, Body=b"x")),
            allowed(lambda where=where, key=key: s3.delete_object(Bucket=where, Key=f"{key}.none")),
            allowed(lambda where=where, key=key: abort(s3, where, key)),
        ]
        assert len(set(writes)) == 1, (what, writes)
        if writes[0]:
            did.add(f"write {what}")
    assert did == MAY[name]
    assert did <= {*READS, *WRITES}
    assert allowed(lambda: s3.list_objects_v2(Bucket="ours"))
    assert allowed(lambda: s3.list_multipart_uploads(Bucket="ours", Prefix="lake/"))
    assert allowed(lambda: s3.list_objects_v2(Bucket="source")) is (name == "service")
    assert not allowed(lambda: s3.list_objects_v2(Bucket="other"))
    assert not allowed(lambda: s3.create_bucket(Bucket=f"made-by-{name}"))
    assert not allowed(lambda: s3.delete_bucket(Bucket="source"))
    assert not allowed(lambda: s3.put_bucket_policy(Bucket="ours", Policy="{}"))


def abort(s3: Any, where: str, key: str) -> None:
    upload = s3.create_multipart_upload(Bucket=where, Key=key)["UploadId"]
    s3.abort_multipart_upload(Bucket=where, Key=key, UploadId=upload)


@pytest.mark.parametrize(("prefix", "name"), KEYS.items())
def test_a_key_makes_no_users(store: dict[str, str], prefix: str, name: str) -> None:
    from minio.error import MinioAdminException

    with pytest.raises(MinioAdminException, match="AccessDenied"):
        bucket.make_users(store, bucket.policies("ours", "lake", []), name, store[f"{prefix}_SECRET_KEY"])


def test_a_store_of_your_own_is_asked_for_the_bucket_alone(
    store: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "service")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store["OBJECT_STORE_SECRET_KEY"])
    bucket.main(store | {"OBJECT_STORE_KIND": "", "OBJECT_STORE_ROOT_USER": "nobody"})
    assert capsys.readouterr().out == "bucket ours: exists\n"


def test_seaweedfs_gets_the_same_keys(tmp_path: Path) -> None:
    """Its file of keys, as its entry point writes it; the store itself is not run here."""
    import json
    import subprocess

    from imagefeatures.settings import REPOSITORY

    weed = tmp_path / "weed"
    weed.write_text('#!/bin/sh\necho "$@"\n')
    weed.chmod(0o755)
    script = (REPOSITORY / "deploy/compose/seaweedfs.sh").read_text().replace("/tmp/", f"{tmp_path}/")
    names = {"ROOT": "root", "SERVICE": "service", "READER": "reader", "UPLOADER": "uploader"}
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BUCKET": "ours", "SOURCE_BUCKETS": "a,b"}
    for variable, name in names.items():
        env |= {f"{variable}_KEY": f"key-of-{name}", f"{variable}_SECRET": f"secret-of-{name}"}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "secret" not in done.stdout
    file = tmp_path / "identities.json"
    assert file.stat().st_mode & 0o777 == 0o600
    identities = {one["name"]: one for one in json.loads(file.read_text())["identities"]}
    assert set(identities) == set(names.values())
    for name, one in identities.items():
        assert one["credentials"] == [{"accessKey": f"key-of-{name}", "secretKey": f"secret-of-{name}"}]
        assert ("Admin" in one["actions"]) is (name == "root")
    assert "Read:b" in identities["service"]["actions"]
    writes = {action for name in ("service", "reader") for action in identities[name]["actions"] if "Write" in action}
    assert writes == {"Write:ours/lake/*"}
