"""The run as a whole is refused, in one line that names what is wrong: bucket, key, field or file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

import servers
from imagefeatures import catalog, ingest, validate
from imagefeatures.datasets import Dataset, RunParams, load_dataset
from imagefeatures.errors import DatasetError, ImageFeaturesError, InputError, StoreError
from imagefeatures.models.weights import read_weights
from imagefeatures.plan import plan_run
from imagefeatures.settings import Settings
from imagefeatures.storage import s3 as s3_store
from shared import AWS, BUCKET, MODEL, MakeRun


def plan(settings: Settings, source: str, **params: object) -> str:
    dataset = Dataset(name="photos", source=source)
    return plan_run(dataset, RunParams.parse({"partition": "2026-11-02", **params}), None, settings)


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_is_refused_by_the_plan(settings: Settings) -> None:
    refused(
        lambda: plan(settings, "s3://no-such-bucket/photos/"), "StoreRefused", "s3://no-such-bucket", "no such bucket"
    )


def test_missing_credentials_are_refused_by_the_plan(settings: Settings, aws_env: pytest.MonkeyPatch) -> None:
    aws_env.delenv("AWS_ACCESS_KEY_ID")
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    refused(lambda: plan(settings, "s3://bucket/photos/"), "StoreRefused", "s3://bucket", "AWS_ACCESS_KEY_ID")


def test_an_endpoint_without_a_server_is_named_and_no_secret_is(
    settings: Settings, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    aws_env.setattr(s3_store, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(StoreError, match=r"^s3://bucket: .*127\.0\.0\.1:9") as stopped:
        plan(settings, "s3://bucket/photos/")
    assert "canary-secret" not in str(stopped.value)


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_of_the_lake_is_refused_by_the_plan(settings: Settings) -> None:
    lake = dataclasses.replace(settings, lake="s3://no-such-lake/here")
    refused(lambda: plan(lake, f"s3://{BUCKET}/photos/"), "StoreRefused", "s3://no-such-lake/", "no such bucket")


@pytest.fixture(scope="module")
def minio_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MinIO, with a bucket `photos` and a bucket `lake`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        keys = {"aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"]}
        client = boto3.session.Session(**keys, region_name="us-east-1").client("s3", endpoint_url=server.address)
        client.create_bucket(Bucket="photos")
        client.create_bucket(Bucket="lake")
        yield server.address


@pytest.fixture
def store(minio_address: str, aws_env: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment, with MinIO in it."""
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
    found = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::1:role/x", RoleSessionName="reader", Policy=policy)
    store.setenv("AWS_ACCESS_KEY_ID", found["Credentials"]["AccessKeyId"])
    store.setenv("AWS_SECRET_ACCESS_KEY", found["Credentials"]["SecretAccessKey"])
    store.setenv("AWS_SESSION_TOKEN", found["Credentials"]["SessionToken"])
    store.setattr("boto3.DEFAULT_SESSION", None)
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    text = refused(lambda: plan(lake, "s3://photos/x/"), "StoreRefused", "s3://lake/here/", "AccessDenied")
    assert not any(secret in text for secret in map(str, found["Credentials"].values()))
    assert plan(settings, "s3://photos/x/").startswith(settings.lake)


def test_an_endpoint_that_is_no_store_is_refused_by_the_plan(
    settings: Settings, s3: object, aws_env: pytest.MonkeyPatch
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"] + "/moto-api/data.json")
    refused(lambda: plan(settings, "s3://bucket/photos/"), "StoreRefused", "s3://bucket", "AWS_ENDPOINT_URL")
    lake = dataclasses.replace(settings, lake="s3://lake/here")
    refused(lambda: plan(lake, "file:///none/"), "StoreRefused", "s3://lake/here", "AWS_ENDPOINT_URL")


def test_a_source_with_no_matching_key_is_no_input_and_publishes_nothing(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    run = make_run(tmp_path, pattern=["*.jpg"])
    refused(lambda: ingest.list_source(run, 2), "NoInput", "NO_INPUT", f"file://{tmp_path}/", "*.jpg")
    assert catalog.published(catalog.open_catalog(settings), settings, "photos", run.partition) is None


def test_other_weights_are_a_model_mismatch(weights_cache: Path) -> None:
    path = weights_cache / "weights" / f"{MODEL}.h5"
    damaged = bytearray(path.read_bytes())
    where = len(damaged) // 2
    damaged[where : where + 4] = b"\0\0\x80\x3f"
    refused(lambda: read_weights(bytes(damaged), MODEL, "given.h5"), "ModelMismatch", "given.h5", "MODEL_MISMATCH")


@pytest.mark.parametrize(
    ("field", "value"),
    [("shard_images", 0), ("shard_images", -1), ("shard_images", "abc"), ("shard_images", 1e9), ("partition", "../x")],
)
def test_a_parameter_out_of_bounds_is_refused_by_its_name(settings: Settings, field: str, value: object) -> None:
    refused(lambda: plan(settings, "file:///tmp/", **{field: value}), "ParamsError", f"{field}: ")


def test_an_unknown_parameter_and_a_malformed_file_are_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    refused(lambda: plan(settings, "file:///tmp/", batch=7), "ParamsError", "batch: unknown field")
    (tmp_path / "fruit.yaml").write_text("name: fruit\nsource: [s3://b/\n")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: not YAML: "):
        load_dataset(tmp_path / "fruit.yaml")


def test_too_many_rejected_says_counts_and_the_first_ten(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for at in range(12):
        (tmp_path / "photos" / f"{at:02d}.jpg").write_bytes(b"" if at % 2 else b"{}")
    run = make_run(tmp_path / "photos")
    ingest.list_source(run, workers=1)
    for shard in range(ingest.read_listing(run).shards):
        ingest.run_shard(run, shard)
        validate.run_shard(run, shard)
    keys = "12 of 12 objects", "EMPTY_OBJECT 6", "UNSUPPORTED_FORMAT 6"
    text = refused(lambda: validate.check_budget(run), "TooManyRejected", *keys)
    assert text.count(".jpg") == 10


def refused(call: Callable[[], object], error: str, *words: str) -> str:
    """Expect that error, an InputError in one line with these words. Returns its text."""
    with pytest.raises(ImageFeaturesError) as stopped:
        call()
    assert type(stopped.value).__name__ == error
    assert isinstance(stopped.value, InputError)
    text = str(stopped.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text
