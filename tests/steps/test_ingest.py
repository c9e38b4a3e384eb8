"""ingest freezes bytes, and rejects an object with the reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest

from imagefeatures import budget, manifest, schemas, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import StoreError, StoreRefused, TooManyRejected
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import pending, read_output, read_receipts, read_staged
from imagefeatures.steps import ingest
from imagefeatures.storage import s3 as s3_store
from support.listing import WORKERS, listed, sparse
from support.photos import fill, jpeg
from support.scripted_store import Answer, ScriptedStore, no
from support.shared import BUCKET, MakeRun
from support.unprivileged import folder_of_nobody


def listings(contents: str) -> list[Answer]:
    """The responses to a run's questions for the listing: plan looks for an object, then the source is listed twice."""
    return [(200, {}, f"<ListBucketResult><Name>{BUCKET}</Name>{contents}</ListBucketResult>".encode())] * 3


def ingested(run: Run) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, str]]]:
    """Ingest all shards. Returns the frozen rows by URI, and (reason, detail) of the others by URI."""
    listing = manifest.list_source(run, WORKERS)
    receipts = [ingest.run_shard(run, shard) for shard in range(listing.shards)]
    frozen, rejected = [], []
    for receipt in receipts:
        frozen += read_staged(receipt.output).to_pylist()
        rejected += read_staged(receipt.rejected).to_pylist() if receipt.rejected else []
    uris = [row["uri"] for row in frozen + rejected]
    assert sorted(uris) == sorted(listed(run)), "every listed object ends once"
    assert sum(r.rows_in for r in receipts) == listing.objects == len(uris)
    return {row["uri"]: row for row in frozen}, {row["uri"]: (row["reason"], row["detail"]) for row in rejected}


@pytest.fixture(params=["file", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty source folder, once in each kind of store."""
    if request.param == "file":
        return f"file://{tmp_path}/photos"
    request.getfixturevalue("s3")
    return f"s3://{BUCKET}/photos"


def test_bytes_are_frozen_with_size_digest_label_and_etag(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"{label}/{at}.jpg": jpeg(at) for label in ("fig", "pear") for at in range(3)}
    source = fill(tmp_path / "photos", files)
    run = make_run(source)
    frozen, rejected = ingested(run)
    assert rejected == {}
    assert set(frozen) == {f"file://{source}/{name}" for name in files}
    for name, data in files.items():
        row = frozen[f"file://{source}/{name}"]
        assert row["data"] == data
        assert (row["size"], row["image_id"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert row["label"] == name.split("/")[0]
        assert row["etag"]
    assert read_output(run.layout, "ingest", 0).schema.remove_metadata() == schemas.RAW.remove_metadata()


def test_a_retry_does_only_the_shard_whose_receipt_is_gone(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(8)})
    run = make_run(source)
    ingested(run)
    before = read_receipts(run.layout, steps.INGEST)
    assert pending(run.layout, steps.INGEST, len(before)) == []
    Path(run.layout.receipt(steps.INGEST, 1).removeprefix("file://")).unlink()
    assert pending(run.layout, steps.INGEST, len(before)) == [1]
    again = ingest.run_shard(run, 1)
    after = read_receipts(run.layout, steps.INGEST)
    assert [r for r in after if r.shard != 1] == [r for r in before if r.shard != 1]
    assert after[1] == again
    assert again.output.sha256 == before[1].output.sha256  # the same rows, in a file with a new name
    assert again.output.uri != before[1].output.uri


def test_an_empty_object_is_turned_away(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"empty.jpg": b"", "full.jpg": jpeg()})
    frozen, rejected = ingested(make_run(source))
    assert rejected == {f"file://{source}/empty.jpg": ("EMPTY_OBJECT", "it has 0 bytes")}
    assert set(frozen) == {f"file://{source}/full.jpg"}


def test_an_object_over_the_limit_is_turned_away_without_a_download(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"exact.jpg": b"x" * 1000, "over.jpg": b"x" * 1001})
    run = make_run(source, limits={"max_bytes": 1000})
    manifest.list_source(run, WORKERS)
    (source / "over.jpg").unlink()  # a download would fail now
    frozen, rejected = ingested(run)
    detail = "it has 1,001 bytes, limits.max_bytes is 1,000"
    assert rejected == {f"file://{source}/over.jpg": ("TOO_LARGE", detail)}
    assert set(frozen) == {f"file://{source}/exact.jpg"}


def test_a_huge_object_that_is_not_downloaded_does_not_fill_a_shard(make_run: MakeRun, tmp_path: Path) -> None:
    source = sparse(tmp_path / "photos", [100, 3 * 2**40, 100])
    frozen, rejected = ingested(make_run(source, {"shard_images": 3}))
    assert rejected[f"file://{source}/00001.jpg"][0] == "TOO_LARGE"
    assert len(frozen) == 2


def test_an_object_that_is_gone_is_turned_away(make_run: MakeRun, base: str) -> None:
    storage.write(f"{base}/there/1.jpg", b"one")
    storage.write(f"{base}/gone/2.jpg", b"two")
    run = make_run(f"{base}/")
    manifest.list_source(run, WORKERS)
    storage.delete_folder(f"{base}/gone")
    frozen, rejected = ingested(run)
    assert rejected == {f"{base}/gone/2.jpg": ("NOT_FOUND", "it was listed, and gone when it was read")}
    assert set(frozen) == {f"{base}/there/1.jpg"}


def test_an_object_that_was_replaced_is_turned_away_with_both_etags(make_run: MakeRun, base: str) -> None:
    storage.write(f"{base}/1.jpg", b"one")
    storage.write(f"{base}/2.jpg", b"two")
    run = make_run(f"{base}/")
    manifest.list_source(run, WORKERS)
    before = {found.uri: found.etag for found in storage.list_objects(base)}
    storage.write(f"{base}/2.jpg", b"TWO")
    after = {found.uri: found.etag for found in storage.list_objects(base)}
    frozen, rejected = ingested(run)
    uri = f"{base}/2.jpg"
    detail = f"listed with ETag {before[uri]}, read with {after[uri]}"
    assert rejected == {uri: ("CHANGED_DURING_RUN", detail)}
    assert set(frozen) == {f"{base}/1.jpg"}


def test_odd_names_are_frozen_byte_for_byte(make_run: MakeRun, base: str) -> None:
    names = ["é 1+%20#.jpg", "e\u0301.jpg", "😀?&=.jpg", "quotes'\".jpg", "<img onerror=x>.jpg"]
    for name in names:
        storage.write(f"{base}/{name}", name.encode())
    frozen, rejected = ingested(make_run(f"{base}/"))
    assert {uri: row["data"] for uri, row in frozen.items()} == {f"{base}/{name}": name.encode() for name in names}
    assert rejected == {}


def test_whatever_lies_in_a_folder_is_a_row_or_an_object(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"a/1.jpg": b"one", "a/2.jpg": b"two"})
    outside = fill(tmp_path / "outside", {"secret.jpg": b"secret"})
    os.mkfifo(source / "fifo.jpg")
    (source / "secret.jpg").symlink_to(outside / "secret.jpg")
    (source / "secrets").symlink_to(outside)
    (source / "self.jpg").symlink_to("self.jpg")
    (source / "latest").symlink_to("a")
    (source / "notes.txt").symlink_to("nowhere")  # does not match the pattern
    run = make_run(source, pattern="*.jpg")
    manifest.list_source(run, WORKERS)
    (source / "a/2.jpg").unlink()
    (source / "a/2.jpg").symlink_to(outside / "secret.jpg")
    frozen, rejected = ingested(run)
    assert {uri: row["data"] for uri, row in frozen.items()} == {f"file://{source}/a/1.jpg": b"one"}
    assert {uri.removeprefix(f"file://{source}/"): reason for uri, (reason, _) in rejected.items()} == {
        "a/2.jpg": "LINK_OUTSIDE",
        "fifo.jpg": "NOT_A_FILE",
        "latest/": "LINK_TO_FOLDER",
        "secret.jpg": "LINK_OUTSIDE",
        "secrets/": "LINK_OUTSIDE",
        "self.jpg": "LINK_BROKEN",
    }


def test_closed_files_and_folders_are_rows_and_the_others_are_frozen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_of_nobody() as folder:
        source = fill(folder / "photos", {"1.jpg": b"one", "2.jpg": b"two", "closed/3.jpg": b"three"})
        (source / "2.jpg").chmod(0)
        (source / "closed").chmod(0)
        deployment = dataclasses.replace(
            settings, lake=f"file://{folder}/lake", catalog=f"sqlite:///{folder}/catalog.db"
        )
        dataset = Dataset(name="photos", source=f"file://{source}/", pattern=["*.jpg"])
        run = load_run(plan_run(dataset, RunParams(), "2026-11-02", deployment), deployment.lake)
        frozen, rejected = ingested(run)
        assert set(frozen) == {f"file://{source}/1.jpg"}
        assert rejected == {
            f"file://{source}/2.jpg": ("NOT_READABLE", "permission denied"),
            f"file://{source}/closed/": ("NOT_READABLE", "permission denied"),
        }


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


def test_an_object_that_was_replaced_by_one_that_may_not_be_read(make_run: MakeRun, scripted: ScriptedStore) -> None:
    page = "<Contents><Key>a</Key><Size>1</Size><ETag>e</ETag></Contents>"
    scripted.script = listings(page)
    run = make_run(f"s3://{BUCKET}/")
    manifest.list_source(run, WORKERS)
    scripted.script = [no(412, "PreconditionFailed"), no(412, "PreconditionFailed"), (403, {}, b"")]
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


def test_links_that_point_at_each_other_are_rows(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"one"})
    (source / "a.jpg").symlink_to("b.jpg")
    (source / "b.jpg").symlink_to("a.jpg")
    (source / "x").symlink_to("y")
    (source / "y").symlink_to("x")
    frozen, rejected = ingested(make_run(source))
    assert set(frozen) == {f"file://{source}/1.jpg"}
    circle = ("LINK_BROKEN", "it is a link that leads in a circle")
    assert rejected == {f"file://{source}/{name}": circle for name in ("a.jpg", "b.jpg", "x", "y")}


def test_a_name_that_is_not_utf8_is_turned_away_with_a_readable_uri(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"good.jpg": b"x"})
    Path(os.fsdecode(os.fsencode(source) + b"/bad\xff.jpg")).write_bytes(b"x")
    frozen, rejected = ingested(make_run(source))
    ((uri, (reason, detail)),) = rejected.items()
    assert (uri, reason) == (f"file://{source}/bad\\udcff.jpg", "BAD_KEY")
    assert "not UTF-8" in detail
    assert set(frozen) == {f"file://{source}/good.jpg"}


def test_every_object_of_a_mixed_folder_ends_once(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"{at % 7}/{at}.jpg": jpeg(at) if at % 5 else b"" for at in range(60)}
    source = fill(tmp_path / "photos", files | {"big.jpg": b"x" * 20_000})
    run = make_run(source, {"shard_images": 7}, limits={"max_bytes": 10_000})
    manifest.list_source(run, WORKERS)
    for at in (1, 2, 3):
        (source / f"{at}/{at}.jpg").unlink()
    (source / "4/4.jpg").write_bytes(b"another")
    _, rejected = ingested(run)
    counts = Counter(reason for reason, _ in rejected.values())
    assert counts == {"EMPTY_OBJECT": 12, "TOO_LARGE": 1, "NOT_FOUND": 3, "CHANGED_DURING_RUN": 1}


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
