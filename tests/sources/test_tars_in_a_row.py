"""Archives after one another in one file, and whatever else follows an end mark: read, or told."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from imagefeatures.sources import Item, Tar, tar_members
from support.doors import tar
from support.photos import fill

MOST = 1 << 20


def images(tmp_path: Path, data: bytes) -> list[Item]:
    return list(source_of(fill(tmp_path, {"a.tar": data}) / "a.tar").items())


def source_of(path: Path) -> Tar:
    return Tar(kind="tar", uri=f"file://{path}")


def names(items: list[Item]) -> list[str]:
    return [item.uri.rpartition("#")[2] for item in items if not item.rejected]


def pax(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", pax_headers={"comment": "x" * 700}) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return sink.getvalue()


@pytest.mark.parametrize("between", [0, 512, 10240, 3 << 20])
def test_the_members_of_each_archive_are_read(tmp_path: Path, between: int) -> None:
    data = tar([("1.jpg", b"one")]) + bytes(between) + pax("2.jpg", b"two") + tar([("3.jpg", b"three")])
    items = images(tmp_path, data)
    assert names(items) == ["1.jpg", "2.jpg", "3.jpg"]
    assert [item.rejected for item in items] == [None] * 3
    assert list(source_of(tmp_path / "a.tar").fetch(items, MOST)) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("zeros", [0, 512, 5 << 20])
def test_zeros_after_the_end_mark_are_nothing(tmp_path: Path, zeros: int) -> None:
    assert names(images(tmp_path, tar([("1.jpg", b"x")]) + bytes(zeros))) == ["1.jpg"]


@pytest.mark.parametrize("follows", [b"\xff" * 1000, b"x" + bytes(511), bytes(512) + b"\x1f\x8b" * 300])
def test_what_follows_and_is_no_archive_is_a_row_with_its_bytes(tmp_path: Path, follows: bytes) -> None:
    whole = tar([("1.jpg", b"x")])
    first, damage = images(tmp_path, whole + follows)
    assert not first.rejected
    assert damage.rejected is not None
    start = len(whole) + len(follows) - len(follows.lstrip(b"\0"))
    assert (damage.uri, damage.rejected.reason) == (f"file://{tmp_path}/a.tar", "CORRUPT")
    assert damage.rejected.detail == (
        f"the archive is damaged at byte {start:,}: {len(whole + follows) - start:,} bytes after the end mark "
        "(byte 1,024) are no archive; what lies before is read"
    )


def test_a_header_that_was_lost_to_zeros_is_damage_and_no_end(tmp_path: Path) -> None:
    data = bytearray(tar([("1.jpg", b"1" * 600), ("2.jpg", b"2" * 600), ("3.jpg", b"3" * 600)]))
    data[1536:2048] = bytes(512)
    first, damage = images(tmp_path, bytes(data))
    assert names([first]) == ["1.jpg"]
    assert damage.rejected is not None
    assert damage.rejected.detail.startswith("the archive is damaged at byte 2,048: ")


def test_zeros_without_an_end_are_searched_so_far_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_members, "MOST_ZEROS", 20_480)
    data = tar([("1.jpg", b"x")]) + bytes(20_480) + tar([("2.jpg", b"x")])
    first, damage = images(tmp_path, data)
    assert names([first]) == ["1.jpg"]
    assert damage.rejected is not None
    assert "byte 21,504: 19,456 bytes are not read, after 20,480 zeros" in damage.rejected.detail


def test_the_global_names_of_one_archive_are_not_those_of_the_next(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", pax_headers={"path": "all.jpg"}) as archive:
        archive.addfile(tarfile.TarInfo("1.jpg"))
    items = images(tmp_path, sink.getvalue() + tar([("2.jpg", b"x")]))
    assert names(items) == ["all.jpg", "2.jpg"]


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_sparse_member_is_a_row_and_what_follows_is_read(tmp_path: Path, form: str) -> None:
    folder = fill(tmp_path, {"in/b.jpg": b"after", "in/a.jpg": b""}) / "in"
    with (folder / "a.jpg").open("r+b") as file:
        file.truncate(10 << 20)  # far larger than the archive
        file.seek(5 << 20)
        file.write(b"x")
    subprocess.run(
        ["tar", "-C", folder, "-S", f"--format={form}", "-cf", tmp_path / "a.tar", "a.jpg", "b.jpg"], check=True
    )
    sparse, after = source_of(tmp_path / "a.tar").items()
    assert str(sparse.rejected) == "NOT_A_FILE: it is a sparse member of an archive"
    assert list(source_of(tmp_path / "a.tar").fetch([after], MOST)) == [b"after"]


def test_json_with_a_byte_order_mark_has_its_label(tmp_path: Path) -> None:
    data = tar([("1.jpg", b"x"), ("1.json", b'\xef\xbb\xbf{"kind": "fig"}')])
    path = fill(tmp_path, {"a.tar": data}) / "a.tar"
    (item,) = Tar(kind="tar", uri=f"file://{path}", label={"member": "json", "field": "kind"}).items()
    assert item.label == "fig"
