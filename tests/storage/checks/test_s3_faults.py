"""What the checks of S3 ask of a store, and what they say of one that does another thing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagefeatures import storage
from imagefeatures.storage.checks import s3 as checks
from imagefeatures.storage.checks.workspace import Workspace
from support.shared import BUCKET


class Client:
    """The bare client of a workspace. asked: each request that a check has made by it, with its arguments.

    faults: what stands in the place of a request, by its name; it gets the real one and the arguments.
    """

    def __init__(self, real: Any, **faults: Callable[..., Any]) -> None:
        self._real, self._faults = real, faults
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real = getattr(self._real, name)

        def request(**given: Any) -> Any:
            self.asked.append((name, dict(given)))
            return self._faults[name](real, **given) if name in self._faults else real(**given)

        return request

    def given(self, name: str, *arguments: str) -> list[list[Any]]:
        """Some arguments of each request of this name."""
        return [[given.get(argument) for argument in arguments] for asked, given in self.asked if asked == name]


@pytest.fixture
def workspace(s3: Any) -> Workspace:
    return Workspace(f"s3://{BUCKET}/some/checks")


def seen(start: str, workspace: Workspace, **faults: Callable[..., Any]) -> tuple[str, Client]:
    """The result of the check whose name starts so, and the client by which it was made."""
    (check,) = (one for one in checks.CHECKS if one.name.startswith(start))
    workspace.client = client = Client(Workspace(workspace.uri).client, **faults)
    return check.run(workspace), client


def refusing(status: int) -> Callable[..., Any]:
    def refuse(real: Any, **given: Any) -> Any:
        raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Any")  # type: ignore[typeddict-item]

    return refuse


def test_five_keys_are_listed_two_at_a_time(workspace: Workspace, written: list[tuple[str, bytes]]) -> None:
    said, client = seen("list", workspace)
    assert said == ""
    assert written == [(f"pages/{number}", b"") for number in range(5)]
    place = [BUCKET, "some/checks/pages/", 2]
    assert client.given("list_objects_v2", "Bucket", "Prefix", "MaxKeys") == [place] * 3
    first, *further = client.given("list_objects_v2", "ContinuationToken")
    assert first == [None]
    assert all(token for (token,) in further)


def test_pages_that_do_not_say_where_they_go_on_or_come_again_are_told(workspace: Workspace) -> None:
    def without_token(real: Any, **given: Any) -> Any:
        return {name: value for name, value in real(**given).items() if name != "NextContinuationToken"}

    assert seen("list", workspace, list_objects_v2=without_token)[0] == (
        "a page says that more keys follow, and not where"
    )

    def first_again(real: Any, **given: Any) -> Any:
        return real(**{name: value for name, value in given.items() if name != "ContinuationToken"})

    said, client = seen("list", workspace, list_objects_v2=first_again)
    assert said.startswith("expected ['pages/0', 'pages/1', 'pages/2', 'pages/3', 'pages/4'], found ['pages/0', 'pag")
    assert len(client.asked) == 5

    def nothing(real: Any, **given: Any) -> Any:
        return {"IsTruncated": False}

    assert seen("list", workspace, list_objects_v2=nothing)[0].endswith(", found []")


def test_a_part_of_the_smallest_size_and_an_end_are_uploaded(workspace: Workspace) -> None:
    said, client = seen("multipart", workspace)
    assert said == ""
    parts = client.given("upload_part", "Bucket", "Key", "PartNumber", "Body")
    assert [part[:3] for part in parts] == [[BUCKET, "some/checks/multipart/whole", number] for number in (1, 2)]
    assert len(parts[0][3]) == 5 << 20
    assert parts[1][3] == b"end"
    assert [name for name, _ in client.asked] == [
        "create_multipart_upload", "upload_part", "upload_part", "complete_multipart_upload",
    ]  # fmt: skip


def test_an_upload_that_fails_is_aborted(workspace: Workspace, s3: Any) -> None:
    with pytest.raises(ClientError):
        seen("multipart", workspace, upload_part=refusing(500))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_parts_that_come_back_as_other_bytes_are_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read = storage.read
    monkeypatch.setattr(storage, "read", lambda uri: read(uri)[:-3])
    assert seen("multipart", workspace)[0] == "the parts came back as other bytes"


def test_of_an_aborted_upload_a_part_was_there_and_what_is_left_is_told(workspace: Workspace) -> None:
    said, client = seen("an aborted", workspace)
    assert said == ""
    key = "some/checks/aborted/upload"
    assert client.given("upload_part", "Key", "PartNumber", "Body") == [[key, 1, b"part"]]
    assert client.given("list_multipart_uploads", "Bucket", "Prefix") == [[BUCKET, key]]

    def left(real: Any, **given: Any) -> Any:
        return {"Uploads": [{"UploadId": "an-upload"}]}

    assert seen("an aborted", workspace, list_multipart_uploads=left)[0] == "expected [], found ['an-upload']"

    def stored(real: Any, **given: Any) -> Any:
        storage.write(workspace("aborted/upload"), b"part")
        return real(**given)

    said, _ = seen("an aborted", workspace, abort_multipart_upload=stored)
    assert said == "expected [], found ['aborted/upload']"


def test_an_upload_whose_part_fails_is_aborted(workspace: Workspace, s3: Any) -> None:
    with pytest.raises(ClientError):
        seen("an aborted", workspace, upload_part=refusing(500))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_stale_etag_must_be_refused_with_412(workspace: Workspace) -> None:
    said, client = seen("conditional get", workspace)
    assert said == ""
    assert client.given("put_object", "Key", "Body") == [
        ["some/checks/changed", b"before"], ["some/checks/changed", b"after, and longer"],
    ]  # fmt: skip
    (wanted,) = client.given("get_object", "Bucket", "Key", "IfMatch")
    assert wanted == [BUCKET, "some/checks/changed", f'"{hashlib.md5(b"before").hexdigest()}"']
    assert seen("conditional get", workspace, get_object=lambda real, **given: None)[0] == "accepted"
    assert seen("conditional get", workspace, get_object=refusing(413))[0] == "refused with 413"


def test_a_wrong_digest_must_be_refused_with_400(workspace: Workspace) -> None:
    said, client = seen("a wrong Content-MD5", workspace, put_object=refusing(400))
    assert said == ""
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert client.given("put_object", "Bucket", "Key", "Body", "ContentMD5") == [
        [BUCKET, "some/checks/checksum", b"bytes", wrong]
    ]
    assert seen("a wrong Content-MD5", workspace, put_object=refusing(401))[0] == "refused with 401"


def test_the_checks_without_which_no_table_is_published_are_needed() -> None:
    assert {one.name for one in checks.CHECKS if one.needed} == {"list: page after page", "multipart upload"}
