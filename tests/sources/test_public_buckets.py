"""Public buckets and buckets whose reader pays: what the requests carry, and what a real store makes of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import boto3
import pytest
from pydantic import ValidationError

from imagefeatures import storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import StoreRefused
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.sources import Folder
from imagefeatures.wording import one_line
from support import servers
from support.scripted_store import ScriptedStore
from support.shared import AWS, BUCKET

PAGE = (
    f"<ListBucketResult><Name>{BUCKET}</Name>"
    "<Contents><Key>day/a.jpg</Key><Size>1</Size><ETag>e</ETag></Contents></ListBucketResult>"
)


def requests_of(source: Folder, scripted: ScriptedStore) -> list[str]:
    """List and read the source: by obstore, and by boto3 once more. Returns the lines of all headers, in lower case."""
    scripted.always = (500, {}, b"")
    whole = (200, {"ETag": '"e"'}, b"x")
    scripted.script = [(200, {}, PAGE.encode()), whole, (200, {"ETag": '"other"'}, b"x"), whole]
    items = list(source.items())
    assert [list(source.fetch(items)) for _ in range(2)] == [[b"x"]] * 2
    assert len(scripted.headers) == 4
    return ["\n".join(f"{name}: {value}" for name, value in headers.items()).lower() for headers in scripted.headers]


def test_requests_to_a_public_bucket_are_not_signed(scripted: ScriptedStore, aws_env: pytest.MonkeyPatch) -> None:
    for name in AWS:  # a public bucket needs no credentials at all
        aws_env.delenv(name)
    for headers in requests_of(Folder(uri=f"s3://{BUCKET}/day/", anonymous=True), scripted):
        assert "authorization:" not in headers
        assert "x-amz-request-payer" not in headers


def test_whoever_pays_says_so_in_every_request_and_signs_it(scripted: ScriptedStore) -> None:
    for headers in requests_of(Folder(uri=f"s3://{BUCKET}/day/", requester_pays=True), scripted):
        assert "x-amz-request-payer: requester" in headers
        assert "x-amz-request-payer" in headers.split("signedheaders=")[1].split(",")[0]


def test_by_default_requests_are_signed_and_nobody_pays(scripted: ScriptedStore) -> None:
    for headers in requests_of(Folder(uri=f"s3://{BUCKET}/day/"), scripted):
        assert "authorization: aws4-hmac-sha256" in headers
        assert "x-amz-request-payer" not in headers


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"uri": "file:///photos/", "anonymous": True}, "anonymous: is for s3:// alone"),
        ({"uri": "../photos/", "requester_pays": True}, "requester_pays: is for s3:// alone"),
        ({"uri": "s3://b/", "requester_pays": True, "anonymous": True}, "whoever pays for requests must sign them"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate({"name": "photos", "source": fields})
    assert says in one_line(refused.value)


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MinIO whose bucket `public` anybody may list and read, and `lake` nobody without keys."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        keys = {"aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"]}
        client = boto3.session.Session(**keys, region_name="us-east-1").client("s3", endpoint_url=server.address)
        for bucket in ("public", "lake"):
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="day/1.jpg", Body=b"one")
        resources = ["arn:aws:s3:::public", "arn:aws:s3:::public/*"]
        anybody = {"AWS": ["*"]}
        may = {"Effect": "Allow", "Principal": anybody, "Action": ["s3:GetObject", "s3:ListBucket"]}
        policy = {"Version": "2012-10-17", "Statement": [may | {"Resource": resources}]}
        client.put_bucket_policy(Bucket="public", Policy=json.dumps(policy))
        yield server.address


def test_a_public_bucket_is_read_while_the_lake_keeps_its_keys(
    minio: str, settings: Settings, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", minio)
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    dataset = Dataset.model_validate({"name": "photos", "source": {"uri": "s3://public/day/", "anonymous": True}})
    run = load_run(plan_run(dataset, RunParams(), "2026-11-02", lake), lake.lake)
    items = list(run.source.items())
    assert [item.uri for item in items] == ["s3://public/day/1.jpg"]
    assert list(run.source.fetch(items)) == [b"one"]
    assert storage.exists(run.layout.run_file)
    closed = Folder(uri="s3://lake/day/", anonymous=True)
    with pytest.raises(StoreRefused, match=r"^s3://lake: the store refuses \(AccessDenied"):
        closed.check()
    assert [item.uri for item in Folder(uri="s3://lake/day/").items()] == ["s3://lake/day/1.jpg"]
