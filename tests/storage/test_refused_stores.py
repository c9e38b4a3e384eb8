"""An unusable store or lake: plan refuses the run in one line that names the bucket or address, and no secret."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator

import boto3
import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, InputError
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support import servers
from support.shared import AWS, BUCKET


def plan(settings: Settings, source: str) -> str:
    return plan_run(Dataset(name="photos", source=source, on_empty="skip"), RunParams(), "2026-11-02", settings)


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_of_the_lake_is_refused_by_the_plan(settings: Settings) -> None:
    lake = dataclasses.replace(settings, lake="s3://no-such-lake/here")
    refused(lambda: plan(lake, f"s3://{BUCKET}/photos/"), "StoreRefused", "s3://no-such-lake/", "no such bucket")


@pytest.fixture(scope="module")
def minio_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MinIO with the buckets `photos` and `lake`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        keys = {"aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"]}
        client = boto3.session.Session(**keys, region_name="us-east-1").client("s3", endpoint_url=server.address)
        client.create_bucket(Bucket="photos")
        client.create_bucket(Bucket="lake")
        yield server.address


@pytest.fixture
def store(minio_address: str, aws_env: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment, with MinIO's address in it."""
    aws_env.setenv("AWS_ENDPOINT_URL", minio_address)
    return aws_env


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
@pytest.mark.parametrize(("source", "named"), [("s3://photos/x/", "s3://photos"), ("file:///none/", "s3://lake/here/")])
def test_wrong_credentials_are_refused_by_the_plan_for_source_and_lake(
    settings: Settings, store: pytest.MonkeyPatch, name: str, source: str, named: str
) -> None:
    store.setenv(name, "canary-wrong")
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    assert "canary" not in refused(lambda: plan(lake, source), "StoreRefused", named, "the store refuses")


def test_a_bucket_that_may_be_read_and_not_written_is_no_lake(settings: Settings, store: pytest.MonkeyPatch) -> None:
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::1:role/x", RoleSessionName="reader", Policy=policy)
    store.setenv("AWS_ACCESS_KEY_ID", role["Credentials"]["AccessKeyId"])
    store.setenv("AWS_SECRET_ACCESS_KEY", role["Credentials"]["SecretAccessKey"])
    store.setenv("AWS_SESSION_TOKEN", role["Credentials"]["SessionToken"])
    store.setattr("boto3.DEFAULT_SESSION", None)
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    text = refused(lambda: plan(lake, "s3://photos/x/"), "StoreRefused", "s3://lake/here/", "AccessDenied")
    assert not any(secret in text for secret in map(str, role["Credentials"].values()))
    assert plan(settings, "s3://photos/x/").startswith(settings.lake)


def test_an_endpoint_that_is_no_store_is_refused_by_the_plan(
    settings: Settings, s3: object, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"] + "/moto-api/data.json")
    refused(lambda: plan(settings, "s3://bucket/photos/"), "StoreRefused", "s3://bucket", "AWS_ENDPOINT_URL")
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    refused(lambda: plan(lake, "file:///none/"), "StoreRefused", "s3://lake/here", "AWS_ENDPOINT_URL")


def refused(call: Callable[[], object], error: str, *words: str) -> str:
    """Expect this error, an InputError of one line that contains these words. Returns its text."""
    with pytest.raises(ImageFeaturesError) as stopped:
        call()
    assert type(stopped.value).__name__ == error
    assert isinstance(stopped.value, InputError)
    text = str(stopped.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text
