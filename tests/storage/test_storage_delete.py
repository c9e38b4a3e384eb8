"""One object is deleted, and no other one."""

from __future__ import annotations

from imagefeatures import storage


def test_an_object_is_deleted_alone_and_a_missing_one_is_no_error(store: str) -> None:
    for name in ("a b#?.bin", "a b#?.bin2", "other"):
        storage.write(f"{store}/{name}", b"x")
    storage.delete(f"{store}/a b#?.bin")
    assert storage.names(store) == ["a b#?.bin2", "other"]
    storage.delete(f"{store}/a b#?.bin")
    assert storage.names(store) == ["a b#?.bin2", "other"]
