"""ingest of objects that a store lists and does not give: rows with a reason, unless it gives none of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import boto3
import pytest

from imagefeatures import budget, manifest, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import StoreError, StoreRefused, TooManyRejected
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import pending
from imagefeatures.steps import ingest
from imagefeatures.storage import s3 as s3_store
from support.ingesting import ingested
from support.listing import WORKERS
from support.scripted_store import Answer, ScriptedStore, no
from support.shared import BUCKET, MakeRun


def listings(contents: str) -> list[Answer]:
    """The responses to a run's questions for the listing: plan looks for an object, then the source is listed twice."""
    return [(200, {}, f"<ListBucketResult><Name>{BUCKET}</Name>{contents}</ListBucketResult>".encode())] * 3


def test_an_object_that_may_not_be_read_is_a_row(make_run: MakeRun, scripted: ScriptedStore) -> None:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in "ab")
    page = (200, {}, f"<ListBucketResult><Name>{BUCKET}</Name>{contents}</ListBucketResult>".encode())
    scripted.script = [page] * 3  # plan looks twice, and ingest lists
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.script = [(200, {"ETag": '"e"'}, b"x"), no(403, "AccessDenied"), no(403, "AccessDenied")]
    frozen, rejected = ingested(run)
    assert set(frozen) == {f"s3://{BUCKET}/a"}
    detail = "the store does not let it be read (AccessDenied)"
    assert rejected == {f"s3://{BUCKET}/b": ("NOT_READABLE", detail)}


def test_one_object_that_the_store_holds_back_costs_only_itself(make_run: MakeRun, scripted: ScriptedStore) -> None:
    """Each is asked for twice: once by obstore, once by boto3, which tells why. None is asked for again."""
    answers = {
        "a": (200, {"ETag": '"e"'}, b"x"),
        "b": no(403, "InvalidObjectState"),
        "c": no(400, "KMS.DisabledException"),
        "d": no(400, "InvalidRequest"),
        "e": no(403, "AccessDenied"),
        "f": no(404, "NoSuchVersion"),
    }
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in answers)
    scripted.script = listings(contents)
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.by_path = {f"/{BUCKET}/{key}": answer for key, answer in answers.items()}
    scripted.paths.clear()
    frozen, rejected = ingested(run)
    assert set(frozen) == {f"s3://{BUCKET}/a"}
    codes = {"b": "InvalidObjectState", "c": "KMS.DisabledException", "d": "InvalidRequest", "e": "AccessDenied"}
    reasons = {key: "ARCHIVED" if key == "b" else "NOT_READABLE" for key in codes}
    gone = rejected.pop(f"s3://{BUCKET}/f")
    assert gone == ("NOT_FOUND", "it was listed, and gone when it was read")
    assert rejected == {
        f"s3://{BUCKET}/{key}": (reasons[key], f"the store does not let it be read ({code})")
        for key, code in codes.items()
    }
    asked = Counter(path.split("/")[-1] for path in scripted.paths)
    assert asked == {"a": 1, "b": 2, "c": 2, "d": 2, "e": 2, "f": 2}


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "RequestTimeTooSkewed"), (403, "")]
)
def test_what_is_true_of_every_object_ends_the_run(
    make_run: MakeRun, scripted: ScriptedStore, status: int, code: str
) -> None:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in "ab")
    scripted.script = listings(contents)
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.always = no(status, code) if code else (status, {}, b"<html>no</html>")
    with pytest.raises(StoreRefused, match=rf"^s3://{BUCKET}/[ab]: the store refuses \({code}"):
        ingest.run_shard(run, 0)


def test_an_object_of_an_archive_is_a_row_until_it_is_restored(make_run: MakeRun, s3: Any) -> None:
    for key, kind in (("1.jpg", "STANDARD"), ("2.jpg", "GLACIER"), ("3.jpg", "DEEP_ARCHIVE"), ("4.jpg", "STANDARD")):
        s3.put_object(Bucket=BUCKET, Key=f"day/{key}", Body=b"x", StorageClass=kind)
    frozen, rejected = ingested(make_run(f"s3://{BUCKET}/day/"))
    assert set(frozen) == {f"s3://{BUCKET}/day/{key}" for key in ("1.jpg", "4.jpg")}
    assert {uri[-5:]: reason for uri, (reason, _) in rejected.items()} == {"2.jpg": "ARCHIVED", "3.jpg": "ARCHIVED"}
    assert all(detail.startswith("the store does not let it be read (Invalid") for _, detail in rejected.values())
    s3.restore_object(Bucket=BUCKET, Key="day/2.jpg", RestoreRequest={"Days": 1})
    frozen, rejected = ingested(make_run(f"s3://{BUCKET}/day/"))
    assert f"s3://{BUCKET}/day/2.jpg" in frozen
    assert len(rejected) == 1


def test_objects_that_are_all_denied_spend_the_budget(make_run: MakeRun, scripted: ScriptedStore) -> None:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in "abc")
    scripted.script = listings(contents)
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.always = no(403, "AccessDenied")
    assert len(ingested(run)[1]) == 3
    with pytest.raises(TooManyRejected, match=r"^3 of 3 objects rejected, .*: NOT_READABLE 3; first: s3://"):
        budget.check_budget(run)


@pytest.mark.parametrize("status", [400, 403])
def test_an_object_that_was_replaced_by_one_that_may_not_be_read(
    make_run: MakeRun, scripted: ScriptedStore, status: int
) -> None:
    page = "<Contents><Key>a</Key><Size>1</Size><ETag>e</ETag></Contents>"
    scripted.script = listings(page)
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.script = [no(412, "PreconditionFailed"), no(412, "PreconditionFailed"), (status, {}, b"")]
    detail = "listed with ETag e, read with unknown: the store does not show it"
    assert ingested(run)[1] == {f"s3://{BUCKET}/a": ("CHANGED_DURING_RUN", detail)}


def test_a_key_that_a_real_store_denies_is_a_row(
    settings: Settings, aws_env: pytest.MonkeyPatch, _real_stores: Any
) -> None:
    aws_env.setenv("AWS_ENDPOINT_URL", _real_stores("minio").address)
    folder = f"s3://{BUCKET}/denied"
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        storage.write(f"{folder}/{name}", name.encode())
    allow = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
    deny = {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/denied/2.jpg"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})
    role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::1:role/x", RoleSessionName="reader", Policy=policy)
    for name, key in (("ACCESS_KEY_ID", "AccessKeyId"), ("SECRET_ACCESS_KEY", "SecretAccessKey")):
        aws_env.setenv(f"AWS_{name}", role["Credentials"][key])
    aws_env.setenv("AWS_SESSION_TOKEN", role["Credentials"]["SessionToken"])
    aws_env.setattr("boto3.DEFAULT_SESSION", None)
    storage._store.cache_clear()
    dataset = Dataset(name="photos", source=f"{folder}/")
    run = load_run(plan_run(dataset, RunParams(), "2026-11-02", settings), settings.lake)
    frozen, rejected = ingested(run)
    assert set(frozen) == {f"{folder}/1.jpg", f"{folder}/3.jpg"}
    ((uri, (reason, detail)),) = rejected.items()
    assert (uri, reason) == (f"{folder}/2.jpg", "NOT_READABLE")
    assert detail.startswith("the store does not let it be read (AccessDenied")


def test_a_store_that_stays_away_fails_the_shard_and_quarantines_nothing(
    make_run: MakeRun, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_object(Bucket=BUCKET, Key="1.jpg", Body=b"x")
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port, where nothing listens
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 0.5)
    storage._store.cache_clear()
    with pytest.raises(StoreError, match="no answer"):
        ingest.run_shard(run, 0)
    assert pending(run.layout, steps.INGEST, 1) == [0]
