"""A local folder that other people can write to: links, special files, depth, permissions, and swaps after the listing.

What is listed of it is finite, each file once, and nothing outside it is read.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.storage import ObjectChanged, ObjectMissing, StoredObject
from support.photos import fill
from support.unprivileged import folder_of_nobody

SECRET = b"canary: what nobody else may read"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one file, beside a folder with a secret."""
    fill(tmp_path / "outside", {"secret.txt": SECRET})
    return fill(tmp_path / "photos", {"a/1.jpg": b"one"})


def listed(folder: Path) -> dict[str, str]:
    """Each listed path below the folder: the reason why it is no object, or ""."""
    entries = list(storage.list_entries(f"file://{folder}/"))
    paths = {entry.uri.removeprefix(f"file://{folder}/"): entry for entry in entries}
    assert len(paths) == len(entries), "each once"
    return {path: str(entry.rejected.reason) if entry.rejected else "" for path, entry in paths.items()}


def fetched(folder: Path) -> list[object]:
    """What comes of fetching the objects that are listed now."""
    return list(storage.fetch_all(list(storage.list_objects(f"file://{folder}/")), f"file://{folder}/"))


# Links


@pytest.mark.parametrize(
    ("target", "path", "reason"),
    [
        ("a/1.jpg", "link", ""),
        ("../photos/a/1.jpg", "link", ""),
        ("a", "link/", "LINK_TO_FOLDER"),
        (".", "link/", "LINK_TO_FOLDER"),
        ("../photos", "link/", "LINK_TO_FOLDER"),
        ("..", "link/", "LINK_OUTSIDE"),
        ("/", "link/", "LINK_OUTSIDE"),
        ("../outside", "link/", "LINK_OUTSIDE"),
        ("../outside/secret.txt", "link", "LINK_OUTSIDE"),
        ("../photos2", "link/", "LINK_OUTSIDE"),
        ("/proc/self/environ", "link", "LINK_OUTSIDE"),
        ("/dev/zero", "link", "LINK_OUTSIDE"),
        ("nowhere", "link", "LINK_BROKEN"),
        ("a/1.jpg/below", "link", "LINK_BROKEN"),
        ("link", "link", "LINK_BROKEN"),
        ("x" * 4000, "link", "LINK_BROKEN"),
    ],
)
def test_a_link_is_followed_to_a_file_of_the_source_and_nowhere_else(
    source: Path, target: str, path: str, reason: str
) -> None:
    fill(source.parent / "photos2", {"1.jpg": b"a neighbour with the same beginning"})
    (source / "link").symlink_to(target)
    assert listed(source) == {"a/1.jpg": "", path: reason}
    assert set(fetched(source)) == {b"one"}


def test_an_absolute_link_to_a_file_of_the_source_is_followed(source: Path) -> None:
    (source / "link.jpg").symlink_to(source / "a/1.jpg")
    assert fetched(source) == [b"one", b"one"]


def test_two_links_that_lead_to_each_other_are_broken(source: Path) -> None:
    (source / "x").symlink_to("y")
    (source / "y").symlink_to("x")
    assert listed(source) == {"a/1.jpg": "", "x": "LINK_BROKEN", "y": "LINK_BROKEN"}


def test_a_ladder_of_thirty_double_links_is_listed_at_once(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for rung in range(30):
        (source / f"{rung:02d}").mkdir(parents=True)
        for side in ("left", "right"):
            (source / f"{rung:02d}" / side).symlink_to(f"../{rung + 1:02d}")
    fill(source, {"30/1.jpg": b"one"})
    start = time.monotonic()
    found = listed(source)
    assert time.monotonic() - start < 5
    assert found.pop("30/1.jpg") == ""
    assert list(found.values()) == ["LINK_TO_FOLDER"] * 60


def test_the_source_itself_may_be_a_link(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    (source / "inside.jpg").symlink_to("a/1.jpg")
    assert listed(tmp_path / "link") == {"a/1.jpg": "", "inside.jpg": ""}
    assert fetched(tmp_path / "link") == [b"one", b"one"]


@pytest.mark.parametrize("target", ["itself", "nowhere"])
def test_a_source_that_leads_nowhere_is_refused_or_empty(tmp_path: Path, target: str) -> None:
    (tmp_path / "itself").symlink_to(target)
    if target == "nowhere":
        assert listed(tmp_path / "itself") == {}
    else:
        with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/itself/: Too many levels of symbolic links$"):
            listed(tmp_path / "itself")


# What is no file


def test_fifos_and_sockets_are_listed_with_a_reason(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source)  # a socket's path has 107 bytes at most
    os.mkfifo(source / "fifo.jpg")
    (source / "to the fifo.jpg").symlink_to("fifo.jpg")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.jpg")
    reasons = dict.fromkeys(("fifo.jpg", "socket.jpg", "to the fifo.jpg"), "NOT_A_FILE")
    assert listed(source) == {"a/1.jpg": "", **reasons}


@pytest.mark.timeout(10)
def test_a_fifo_in_the_place_of_any_file_never_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for read in (storage.read, storage.exists, lambda uri: storage.read_part(uri, 0, 10)):
        with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/fifo: it is a FIFO, and no file$"):
            read(f"file://{tmp_path}/fifo")


# Depth


def test_a_folder_a_thousand_deep_is_listed(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1000)
    for depth in range(1001):  # mkdir makes parents by recursion
        (tmp_path / "photos" / deep[: 2 * depth]).mkdir()
    fill(tmp_path / "photos", {f"{deep}/1.jpg": b"one"})
    assert listed(tmp_path / "photos") == {f"{deep}/1.jpg": ""}
    assert fetched(tmp_path / "photos") == [b"one"]
    subprocess.run(["rm", "-rf", tmp_path / "photos"], check=True)  # pytest would remove it by recursion


def test_a_folder_whose_path_is_longer_than_the_system_opens_is_one_row(source: Path) -> None:
    before = Path.cwd()
    os.chdir(source)
    for _ in range(30):  # step by step, since no call takes the whole path
        Path("f" * 200).mkdir()
        os.chdir("f" * 200)
    Path("1.jpg").write_bytes(b"out of reach")
    os.chdir(before)
    found = listed(source)
    assert found.pop("a/1.jpg") == ""
    ((path, reason),) = found.items()
    assert reason == "NOT_READABLE"
    assert path.endswith("f/")
    assert 4096 < len(f"{source}/{path}") < 4096 + 202
    subprocess.run(["rm", "-rf", source], check=True)


# Permissions


def test_a_closed_file_and_a_closed_folder_are_rows_and_all_else_is_read() -> None:
    with folder_of_nobody() as folder:
        source = fill(
            folder / "photos", {"1.jpg": b"one", "closed.jpg": b"two", "closed/3.jpg": b"3", "names/4.jpg": b""}
        )
        (source / "closed.jpg").chmod(0)
        (source / "closed").chmod(0)
        (source / "names").chmod(0o400)  # its names can be read, its files cannot
        (source / "link.jpg").symlink_to("closed/3.jpg")
        denied = dict.fromkeys(("closed/", "link.jpg", "names/4.jpg"), "NOT_READABLE")
        assert listed(source) == {"1.jpg": "", "closed.jpg": "", **denied}
        objects = [entry for entry in storage.list_entries(f"file://{source}/") if not entry.rejected]
        one, closed = storage.fetch_all(objects, f"file://{source}/")
        assert one == b"one"
        assert isinstance(closed, Rejected) and (closed.reason, closed.detail) == ("NOT_READABLE", "permission denied")
        with pytest.raises(StoreRefused, match=rf"^file://{source}/closed/: permission denied$"):
            list(storage.list_objects(f"file://{source}/"))  # as a lake's folder
        with pytest.raises(StoreRefused, match=rf"^file://{source}/closed/: permission denied$"):
            list(storage.list_entries(f"file://{source}/closed/"))  # as a source


# Swaps between listing and reading


def _secret_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("../../outside/secret.txt")


def _secret_folder(path: Path) -> None:
    path.rename(path.with_name("away"))
    path.parent.rename(path.parent.with_name("b"))
    fill(path.parents[2] / "outside", {path.name: SECRET})
    path.parent.symlink_to("../outside")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        (_secret_link, "LINK_OUTSIDE"),
        (_secret_folder, "LINK_OUTSIDE"),
        (_device, "LINK_OUTSIDE"),
        (_circle, "LINK_BROKEN"),
        (_fifo, "NOT_A_FILE"),
        (_folder, "NOT_A_FILE"),
    ],
)
def test_a_file_that_was_swapped_after_the_listing_is_not_read(
    source: Path, swap: Callable[[Path], None], reason: str
) -> None:
    objects = list(storage.list_objects(f"file://{source}/"))
    swap(source / "a/1.jpg")
    (result,) = storage.fetch_all(objects, f"file://{source}/")
    assert isinstance(result, Rejected)
    assert result.reason == reason
    assert SECRET.decode() not in result.detail


def test_a_file_that_is_gone_is_missing(source: Path) -> None:
    objects = list(storage.list_objects(f"file://{source}/"))
    subprocess.run(["rm", "-rf", source / "a"], check=True)
    (result,) = storage.fetch_all(objects, f"file://{source}/")
    assert isinstance(result, ObjectMissing)


def test_of_a_file_that_has_grown_only_one_byte_more_than_listed_is_read(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = list(storage.list_objects(f"file://{source}/"))
    with (source / "a/1.jpg").open("ab") as file:
        file.truncate(3 * 2**30)
    asked: list[int] = []
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, most: asked.append(most) or read(descriptor, most))
    (result,) = storage.fetch_all(objects, f"file://{source}/")
    assert isinstance(result, ObjectChanged)
    assert asked == [4]


def test_bytes_that_come_in_pieces_are_put_together(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(source, {"long.jpg": bytes(range(256))})
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, most: read(descriptor, min(most, 100)))
    assert fetched(source) == [b"one", bytes(range(256))]


def test_a_file_may_be_read_wherever_it_lies_if_no_folder_is_named(source: Path) -> None:
    (source / "link").symlink_to("../outside/secret.txt")
    assert storage.read(f"file://{source}/link") == SECRET
    status = (source.parent / "outside/secret.txt").stat()
    stored = StoredObject(f"file://{source}/link", len(SECRET), f"{status.st_mtime_ns:x}-{status.st_size:x}")
    assert storage.fetch(stored) == SECRET
