"""Whoever reads a file while it is written over reads the old bytes or the new ones, at every moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import storage

OLD, NEW = b"the bytes before", b"what is written over them, and is longer"
CALLS = ("open", "write", "fsync", "link", "replace", "rename", "unlink", "remove", "close", "chmod", "fchmod")
"""Every call by which a file changes, or could."""


def test_a_file_that_is_written_over_is_old_or_new_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(OLD)
    seen: list[bytes | None] = []
    inside: list[bool] = []

    def looked(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            if inside:  # the look itself makes such calls
                return real(*args, **options)
            inside.append(True)
            seen.append(target.read_bytes() if target.exists() else None)
            inside.clear()
            result = real(*args, **options)
            inside.append(True)
            seen.append(target.read_bytes() if target.exists() else None)
            inside.clear()
            return result

        return call

    with monkeypatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, looked(getattr(os, name)))
        assert storage.write(f"file://{target}", NEW)
    assert set(seen) == {OLD, NEW}
    assert seen == sorted(seen, key=[OLD, NEW].index)
    assert target.read_bytes() == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reader_in_the_middle_of_a_file_reads_the_old_bytes_to_their_end(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(OLD)
    with target.open("rb", buffering=0) as reader:
        assert reader.read(5) == OLD[:5]
        assert storage.write(f"file://{target}", NEW)
        assert reader.read() == OLD[5:]
    assert target.read_bytes() == NEW


def test_a_new_file_is_whole_as_soon_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "file", []
    real = os.write

    def piecemeal(descriptor: int, data: bytes) -> int:
        seen.append(target.exists())
        return real(descriptor, data[:5])

    monkeypatch.setattr(os, "write", piecemeal)
    for only_if_absent in (False, True):
        target.unlink(missing_ok=True)
        assert storage.write(f"file://{target}", NEW, only_if_absent=only_if_absent)
        assert target.read_bytes() == NEW
    assert len(seen) > 10
    assert not any(seen)
