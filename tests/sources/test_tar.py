"""Tar archives: what is a member, what is an image, and how far a damaged or hostile one is read."""

from __future__ import annotations

import io
import itertools
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected
from imagefeatures.sources import Item, PassedOver, Tar
from imagefeatures.sources import tar as tar_source
from imagefeatures.storage import object_reader
from support.doors import tar
from support.photos import fill

MOST = 1 << 20
DATA = [bytes([number]) * (700 + number) for number in range(9)]


def source_of(path: Path, **fields: Any) -> Tar:
    return Tar(kind="tar", uri=f"file://{path}", **fields)


def written(tmp_path: Path, data: bytes) -> Path:
    return fill(tmp_path, {"a.tar": data}) / "a.tar"


def images(path: Path, **fields: Any) -> list[Item]:
    return list(source_of(path, **fields).items())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read_in_every_form_of_tar(tmp_path: Path, form: int) -> None:
    names = ["é ü#1.jpg", f"{'d' * 90}/{'n' * 60}.jpg"] + ["x" * 300 + ".jpg"] * (form != tarfile.USTAR_FORMAT)
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in zip(names, DATA, strict=False):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path = written(tmp_path, sink.getvalue())
    items = images(path)
    assert [item.uri for item in items] == [f"file://{path}#{name}" for name in names]
    assert [item.size for item in items] == [700, 701, 702][: len(names)]
    assert list(source_of(path).fetch(items[::-1], MOST)) == DATA[: len(names)][::-1]


def test_what_is_no_plain_file_is_no_image(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind in (("d.jpg", tarfile.DIRTYPE), ("s.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE),
                           ("f.jpg", tarfile.FIFOTYPE)):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        sparse = tarfile.TarInfo("sparse.jpg")
        sparse.pax_headers = {"GNU.sparse.map": "0,3", "GNU.sparse.size": "3000"}
        sparse.size = 3
        archive.addfile(sparse, io.BytesIO(b"abc"))
        nested = tarfile.TarInfo("inner.tar")
        archive.addfile(nested)
    passed = PassedOver()
    items = list(source_of(written(tmp_path, sink.getvalue())).items(passed))
    told = {item.uri.rpartition("#")[2]: str(item.rejected) for item in items}
    assert told == {
        "s.jpg": "NOT_A_FILE: it is a link in an archive",
        "h.jpg": "NOT_A_FILE: it is a link in an archive",
        "f.jpg": "NOT_A_FILE: it is a device or a FIFO in an archive",
        "sparse.jpg": "NOT_A_FILE: it is a sparse member of an archive",
    }
    assert dict(passed.counts) == {"pattern": 1}


@pytest.mark.parametrize(
    ("label", "content", "expected"),
    [
        ({"member": "cls"}, b" 7\n", "7"),
        ({"member": "cls"}, b"", None),
        ({"member": "cls"}, b"\xff", None),
        ({"member": "json", "field": "kind"}, b'{"kind": 3}', "3"),
        ({"member": "json", "field": "kind"}, b'{"kind": null}', None),
        ({"member": "json", "field": "kind"}, b'["kind"]', None),
        ({"member": "json", "field": "kind"}, b'{"kind"', None),
        ({"member": "json", "field": "kind"}, b"[" * 60_000, None),
        ({"member": "cls"}, b"x" * 70_000, None),
    ],
)
def test_the_label_is_what_the_member_beside_the_image_says(
    tmp_path: Path, label: dict[str, str], content: bytes, expected: str | None
) -> None:
    ending = label["member"]
    for order in (1, -1):
        files = [("a/1.jpg", DATA[0]), (f"a/1.{ending}", content)][::order]
        (item, other) = images(written(tmp_path, tar([*files, ("a/2.jpg", DATA[1])])), label=label)
        assert (item.key, item.label) == ("a/1", expected)
        assert (other.key, other.label) == ("a/2", None)


def test_an_archive_that_ends_anywhere_keeps_what_came_before_and_says_where(tmp_path: Path) -> None:
    whole = tar([(f"{number}.jpg", data) for number, data in enumerate(DATA[:3])])
    ends = [512 + 1024, 2 * (512 + 1024), 3 * (512 + 1024)]  # of each member, padded
    for end in [0, 1, 511, 512, 1000, *(e + d for e in ends for d in (-1, 0, 1, 511, 512))]:
        path = written(tmp_path, whole[:end])
        items = images(path)
        there = sum(512 + 1024 * number + 512 * number + len(DATA[number]) <= end for number in range(3))
        good = [item for item in items if not item.rejected]
        assert list(source_of(path).fetch(good, MOST)) == DATA[:there], end
        (damage,) = items[there:] or [None]
        if end >= ends[2] + 512:  # with the end mark's first block, it is whole for tarfile
            assert damage is None or damage.rejected
            continue
        assert damage is not None
        assert (damage.uri, damage.rejected.reason) == (f"file://{path}", "CORRUPT")
        assert damage.rejected.detail.startswith("the archive is damaged at byte "), end


@pytest.mark.parametrize("at", range(0, 512, 8))
def test_a_damaged_header_ends_the_archive_there(tmp_path: Path, at: int) -> None:
    data = bytearray(tar([(f"{number}.jpg", content) for number, content in enumerate(DATA[:3])]))
    header = 512 + 1024
    data[header + at] ^= 0xFF
    path = written(tmp_path, bytes(data))
    first, damage = images(path)
    assert list(source_of(path).fetch([first], MOST)) == [DATA[0]]
    assert damage.rejected is not None
    assert damage.rejected.detail.startswith("the archive is damaged at byte 1,536: ")


@pytest.mark.parametrize("size", [-1, -(1 << 40), 1 << 62, 1 << 80])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_header_that_claims_any_length_ends_the_archive_at_once(tmp_path: Path, size: int, kind: bytes) -> None:
    member = tarfile.TarInfo("x.jpg")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = kind
    bits = size.to_bytes(12, "big", signed=True)
    header[124:136] = (b"\xff" if size < 0 else b"\x80") + bits[1:]
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    items = list(itertools.islice(source_of(written(tmp_path, bytes(header) + bytes(4096))).items(), 5))
    reasons = [item.rejected.reason for item in items if item.rejected]
    assert len(reasons) == len(items)
    # The map of a sparse member may be believable where its size is not: it is no image either way.
    assert reasons in ([["CORRUPT"]] if kind != tarfile.GNUTYPE_SPARSE else [["NOT_A_FILE"], ["NOT_A_FILE", "CORRUPT"]])


@pytest.mark.parametrize("cut", [0, 100, 512, 512 + 505])
@pytest.mark.parametrize("before", [0, 1])
def test_an_archive_that_ends_in_the_map_of_a_sparse_member_is_damaged(tmp_path: Path, before: int, cut: int) -> None:
    header = bytearray(tarfile.TarInfo("x.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[482] = 1  # the map goes on in the next block
    header[148:156] = b"        "
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    goes_on = bytes(504) + b"\1" + bytes(7)
    data = tar([("a.jpg", b"first")])[: 1024 * before] + bytes(header) + (goes_on * 2)[:cut]
    *others, damage = source_of(written(tmp_path, data)).items()
    assert [item.uri.rpartition("#")[2] for item in others] == ["a.jpg"] * before
    assert damage.rejected is not None
    assert damage.rejected.reason == "CORRUPT"
    assert f"byte {1024 * before:,}: " in damage.rejected.detail


def test_a_chain_of_long_names_is_damage_and_no_crash(tmp_path: Path) -> None:
    link = tarfile.TarInfo("x")
    link.type = tarfile.GNUTYPE_LONGNAME
    (damage,) = images(written(tmp_path, link.tobuf(tarfile.GNU_FORMAT) * 5000))
    assert damage.rejected is not None
    assert damage.rejected.reason == "CORRUPT"


def test_listing_skips_large_members_and_a_shard_reads_neighbours_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = bytes(300_000)
    path = written(tmp_path, tar([(f"{number:02d}.jpg", big) for number in range(20)]))
    read: list[int] = []
    real = object_reader.ObjectReader.read

    def noted(reader: object_reader.ObjectReader, size: int = -1) -> bytes:
        read.append(size)
        return real(reader, size)

    monkeypatch.setattr(object_reader.ObjectReader, "read", noted)
    items = images(path)
    assert sum(read) < 30 * tar_source.BLOCK_OF_A_FILE
    parts: list[int] = []
    part = storage.read_part

    def counted(uri: str, start: int, length: int, access: storage.Access | None = None) -> bytes:
        parts.append(length)
        return part(uri, start, length, access)

    monkeypatch.setattr(storage, "read_part", counted)
    assert list(source_of(path).fetch(items[:3] + items[10:12], MOST)) == [big] * 5
    assert len(parts) == 2
    assert max(parts) <= tar_source.MOST_AT_ONCE


def test_an_archive_that_is_replaced_or_gone_gives_no_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, tar([("1.jpg", DATA[0])]))
    items = images(path)
    written(tmp_path, tar([("1.jpg", DATA[1]), ("2.jpg", DATA[2])]) + bytes(512))
    (changed,) = source_of(path).fetch(items, MOST)
    assert isinstance(changed, Rejected)
    assert changed.reason == "CHANGED_DURING_RUN"
    path.unlink()
    assert [str(why) for why in source_of(path).fetch(items, MOST)] == [
        "NOT_FOUND: its file was listed, and gone when it was read"
    ]


def test_what_macos_leaves_in_an_archive_is_passed_over(tmp_path: Path) -> None:
    files = [("._a.jpg", b"x"), ("a.jpg", DATA[0]), ("._a.cls", b"x"), ("a.cls", b"fig"), ("__MACOSX/b.jpg", b"x")]
    passed = PassedOver()
    source = source_of(written(tmp_path, tar(files)), label={"member": "cls"})
    assert [(item.key, item.label) for item in source.items(passed)] == [("a", "fig")]
    assert passed.counts == {"default_excludes": 3, "pattern": 1}


@pytest.mark.parametrize("label", [None, {"member": "cls"}])
def test_images_of_one_key_are_not_all_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: dict[str, str] | None
) -> None:
    monkeypatch.setattr(tar_source, "MOST_OF_A_KEY", 3)
    held: list[int] = []
    real = Tar._of_group

    def of_group(self: Tar, file: Any, images: list[Any], label: str | None) -> Any:
        held.append(len(images))
        return real(self, file, images, label)

    monkeypatch.setattr(Tar, "_of_group", of_group)
    files = [("IMG.cls", b"fig"), *((f"IMG.{number:03d}.jpg", b"x") for number in range(8))]
    found = images(written(tmp_path, tar(files)), label=label)
    assert [item.uri.rpartition("#")[2] for item in found] == [name for name, _ in files[1:]]
    assert {(item.key, item.label) for item in found} == {("IMG", "fig" if label else None)}
    assert max(held) == (3 if label else 1)
