"""Objects of S3 that are written piece by piece: one PUT where they are small, else an upload in parts."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import drafts
from support.scripted_store import Answer, ScriptedStore, no
from support.shared import BUCKET

URI = f"s3://{BUCKET}/folder/file"
KEY = {"Bucket": BUCKET, "Key": "folder/file"}
PART = drafts.PART_BYTES

BEGUN = (200, {}, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
SENT = (200, {"ETag": '"p"'}, b"")
DONE = (200, {}, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")


def unfinished(s3: Any) -> int:
    return len(s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


def parts_of(s3: Any) -> str:
    """How many parts the object was sent in, as its ETag tells; nothing where it was one PUT."""
    return str(s3.head_object(**KEY)["ETag"].strip('"').partition("-")[2])


def test_a_small_object_is_one_put_and_replaces_what_was_there(s3: Any) -> None:
    storage.write(URI, b"before")
    draft = storage.draft(URI)
    for data in (b"first ", memoryview(b"second"), b"x" * (PART - 13)):
        draft.write(data)
    assert storage.read(URI) == b"before"
    draft.commit()
    assert storage.read(URI) == b"first second" + b"x" * (PART - 13)
    assert parts_of(s3) == ""


def test_parts_are_sent_as_soon_as_they_are_full_and_are_the_object_at_its_end(s3: Any) -> None:
    pieces = [b"a" * (PART - 1), b"b", b"c" * (PART - 1), b"d"]
    draft = storage.draft(URI)
    for data in pieces:
        draft.write(data)
    assert not storage.exists(URI)
    assert unfinished(s3) == 1
    draft.commit()
    assert storage.read(URI) == b"".join(pieces)
    assert parts_of(s3) == "2"
    assert unfinished(s3) == 0


def test_an_object_that_ends_with_a_part_has_no_other_after_it(s3: Any) -> None:
    draft = storage.draft(URI)
    draft.write(b"a" * PART)
    draft.commit()
    assert storage.read(URI) == b"a" * PART
    assert parts_of(s3) == "1"


def test_more_is_held_where_the_caller_says_so(s3: Any) -> None:
    draft = storage.draft(URI, PART + 5)
    draft.write(b"a" * (PART + 4))
    draft.commit()
    assert parts_of(s3) == ""


def test_what_is_given_up_leaves_nothing(s3: Any) -> None:
    for pieces in ([b"small"], [b"a" * PART, b"more"]):
        draft = storage.draft(URI)
        for data in pieces:
            draft.write(data)
        draft.abort()
    assert not storage.exists(URI)
    assert unfinished(s3) == 0


def sent(scripted: ScriptedStore, *answers: Answer) -> storage.Draft:
    """A draft of one part and a bit more, of which the part was sent."""
    scripted.script = list(answers)
    draft = storage.draft(URI)
    draft.write(b"a" * PART)
    draft.write(b"more")
    return draft


def test_parts_are_numbered_from_one_and_named_at_the_end(scripted: ScriptedStore) -> None:
    draft = sent(scripted, BEGUN, SENT, SENT, DONE)
    draft.commit()
    draft.abort()  # of what is an object already nothing is aborted
    assert scripted.asked == ["POST", "PUT", "PUT", "POST"]
    path = f"/{BUCKET}/folder/file"
    assert scripted.paths == [
        f"{path}?uploads",
        f"{path}?uploadId=u&partNumber=1",
        f"{path}?uploadId=u&partNumber=2",
        f"{path}?uploadId=u",
    ]
    for number in (1, 2):
        assert f"<PartNumber>{number}</PartNumber>".encode() in scripted.bodies[3]


def test_an_upload_that_is_gone_at_the_end_is_an_error_that_a_retry_may_help(scripted: ScriptedStore) -> None:
    draft = sent(scripted, BEGUN, SENT, SENT, no(404, "NoSuchUpload"))
    with pytest.raises(StoreError, match=rf"^{URI}: its upload in parts was gone at the end$"):
        draft.commit()


def test_an_upload_is_aborted_once_and_what_the_store_says_to_it_is_no_error(scripted: ScriptedStore) -> None:
    for answer in ((204, {}, b""), no(403, "AccessDenied"), no(404, "NoSuchUpload")):
        draft = sent(scripted, BEGUN, SENT, answer)
        scripted.asked.clear()
        draft.abort()
        draft.abort()
        assert scripted.asked == ["DELETE"]


@pytest.mark.parametrize(
    "answers", [[(200, {}, b"<html></html>")], [BEGUN, (200, {}, b"")]], ids=["no upload", "no part"]
)
def test_a_server_that_answers_everything_with_200_is_not_a_store(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, answers: list[Answer]
) -> None:
    monkeypatch.setattr("imagefeatures.storage.s3.RETRY_SECONDS", 0.5)
    with pytest.raises(StoreRefused, match=rf"^{URI}: the server there is not an S3 store \(see AWS_ENDPOINT_URL\)$"):
        sent(scripted, *answers)
