"""`imagefeatures check-store` against real stores: the exact results of each, and that nothing is left behind."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.cli import main
from imagefeatures.errors import EXIT_INPUT_ERROR
from imagefeatures.storage import s3 as s3_store
from imagefeatures.storage.checks import CHECKS, check_store
from support.shared import BUCKET

ALL = {check.name for check in CHECKS}
S3_ONLY = {check.name for check in CHECKS if check.s3_only}

BOTH = "a key that is also a folder: a and a/b"
CONTROL = "keys with a newline or a tab"
CHECKSUM = "a wrong Content-MD5 is refused"
ONCE = "conditional put: the second If-None-Match: * is refused"
IF_MATCH = "conditional get: a stale If-Match is refused"


def noes(uri: str) -> set[str]:
    """The names of the checks that a store fails, once all of them have run."""
    results = list(check_store(uri))
    assert {result.name for result in results} == (ALL if uri.startswith("s3://") else ALL - S3_ONLY)
    assert all(result.costs and bool(result.seen) != result.yes for result in results)
    return {result.name for result in results if not result.yes}


def test_moto_does_all_but_two_things(s3: Any) -> None:
    # moto looks for the key and writes it in two steps, so that it may tell two of eight writers that each was first.
    assert noes(f"s3://{BUCKET}/some/folder") - {ONCE} == {CONTROL, CHECKSUM}
    assert list(storage.list_objects(f"s3://{BUCKET}")) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


NOES = {"rclone": {BOTH, ONCE, IF_MATCH}, "minio": {BOTH}}


@pytest.mark.parametrize(("store", "expected"), NOES.items(), ids=NOES, indirect=["store"])
def test_a_real_store_does_all_but_what_is_documented(
    store: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 1.0)  # rclone answers `a/b` beside `a` with 500 every time
    assert noes(store) == expected
    assert list(storage.list_objects(store)) == []
    left = boto3.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    assert [upload["Key"] for upload in left if "imagefeatures-check" in upload["Key"]] == []


def test_a_folder_does_all_but_one_thing(tmp_path: Path) -> None:
    assert noes(f"file://{tmp_path}") == {BOTH}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["/", "/in/a/folder"])
def test_the_checks_stay_below_the_uri_and_touch_nothing_else(s3: Any, end: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="in/a/folder/mine", Body=b"mine")
    for index, _ in enumerate(check_store(f"s3://{BUCKET}{end}")):
        if not index:
            keys = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if o["Key"] != "in/a/folder/mine"]
            assert keys
            assert all(key.startswith(f"{end}/imagefeatures-check-".replace("//", "/")[1:]) for key in keys)
    assert storage.read(f"s3://{BUCKET}/in/a/folder/mine") == b"mine"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["in/a/folder/mine"]


# The command


def test_a_line_for_each_check_and_what_a_no_costs(s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-store", f"s3://{BUCKET}/"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS)
    assert [line[:3] for line in lines].count("no ") == 2
    (line,) = (line for line in lines if CHECKSUM in line)
    assert line == f"no   nice    {CHECKSUM} -- bytes damaged during an upload are noticed only when read (accepted)"
    assert last == f"s3://{BUCKET}/: does all that is needed, and all that is nice but 2"


def test_a_needed_thing_that_a_store_does_not_do_is_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = storage.read
    monkeypatch.setattr(storage, "read", lambda uri: read(uri)[:1000])
    assert main(["check-store", f"file://{tmp_path}"]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("no   needed  put and get")
    assert first.endswith(" -- no photo and no shard can be trusted (an object of 1048576 bytes came back as another)")
    assert last == f"file://{tmp_path}: not fit for this pipeline, 1 of what it needs missing"
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_is_stopped_removes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(uri: str) -> bytes:
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "read", stop)
    assert main(["check-store", f"file://{tmp_path}"]) == 130
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "delete_folder", lambda uri: None)
    assert main(["check-store", f"file://{tmp_path}"]) == 1
    (left,) = tmp_path.iterdir()
    assert f"file://{left}/ is left behind, remove it yourself" in capsys.readouterr().err


def refused(uri: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["check-store", uri]) == EXIT_INPUT_ERROR
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    return line


def test_a_missing_bucket_or_folder_is_status_65(s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("s3://nowhere/", capsys) == "imagefeatures: s3://nowhere: there is no such bucket"
    assert refused(f"file://{tmp_path}/no/", capsys).endswith("/no/: there is no such folder")
    assert refused("https://host/", capsys) == "imagefeatures: https://host/: neither file:// nor s3://"
    assert list(tmp_path.iterdir()) == []


def test_missing_credentials_are_status_65(aws_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    aws_env.delenv("AWS_ACCESS_KEY_ID")
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no credentials" in refused(f"s3://{BUCKET}/", capsys)


def test_an_endpoint_without_a_server_is_status_1_and_its_password_is_not_shown(
    aws_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        aws_env.setenv("AWS_ENDPOINT_URL", f"http://me:pass-word@127.0.0.1:{closed.server_port}/test-secret")
    aws_env.setattr(s3_store, "RETRY_SECONDS", 0.5)
    assert main(["check-store", f"s3://{BUCKET}/"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: s3://{BUCKET}: no answer in ")
    assert "pass-word" not in line
    assert "test-secret" not in line
