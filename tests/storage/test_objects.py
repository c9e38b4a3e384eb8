"""The types that all stores share."""

from __future__ import annotations

from typing import Any

from imagefeatures import storage
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.storage.objects import Access, Listed, ObjectChanged, StoredObject, copy_in
from support.shared import BUCKET


def test_an_object_is_its_address_size_and_version() -> None:
    one = StoredObject("s3://b/k", 1, "e")
    assert one == StoredObject("s3://b/k", 1, "e", modified=7.0)
    assert one == StoredObject("s3://b/k", 1, "e", rejected=Rejected(Reason.NOT_READABLE, "denied"))
    assert one != StoredObject("s3://b/k", 2, "e")
    assert one != StoredObject("s3://b/k", 1, "f")


def test_what_is_not_told_of_an_object_is_nothing() -> None:
    assert Listed("b/k") == ("b/k", 0, "", None, None)
    assert Access() == Access(anonymous=False, requester_pays=False)


def test_a_changed_object_tells_its_version() -> None:
    assert ObjectChanged("e2").etag == str(ObjectChanged("e2")) == "e2"


def test_bytes_are_copied_into_memory_and_counted(s3: Any) -> None:
    storage.write(f"s3://{BUCKET}/file", b"0123456789")
    memory = bytearray(b"....")
    assert storage.read_into(f"s3://{BUCKET}/file", 8, memoryview(memory)) == 2
    assert memory == b"89.."
    assert copy_in(storage._store("s3"), f"{BUCKET}/file", 1, memoryview(memory)) == 4
    assert memory == b"1234"
