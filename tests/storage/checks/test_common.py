"""What the checks of every store write, and what they say of a store that does another thing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.storage.checks import common, s3
from imagefeatures.storage.checks.common import Check
from imagefeatures.storage.checks.workspace import Workspace

NAMED = {
    "marks": ["a b", "a+b", "a%20b", "a%2Bb", "a#b", "a?b", "a&b=c", "a'b\"c", "a;b,c@d:e", "<a>"],
    "text": ["\u00e9", "e\u0301", "\uff5e", "\U0001f600", "\u65e5\u672c"],
    "control": ["a\nb", "a\tb"],
}
"""Names that are hard to keep, by the folder in which they are written."""

IN_ORDER = ["B", "a-b", "a.b", "a/z", "\u00e9", "\uff5e", "\U0001f600"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(f"file://{tmp_path}/checks")


def check(start: str) -> Check:
    (found,) = (one for one in common.CHECKS if one.name.startswith(start))
    return found


def test_the_checks_that_the_pipeline_relies_on_are_the_needed_ones() -> None:
    assert [one.name.split(" ")[0] for one in common.CHECKS if one.needed] == [
        "put", "list:", "read", "list", "delete:", "keys", "keys",
    ]  # fmt: skip
    assert [one.name for one in common.CHECKS if not one.needed] == [
        "keys with a newline or a tab",
        "keys of 1,024 bytes",
        "a key that is also a folder: a and a/b",
        "listed in the order of the keys' bytes",
        "conditional put: the second If-None-Match: * is refused",
    ]
    assert not any(one.s3_only for one in common.CHECKS)
    assert all(one.s3_only for one in s3.CHECKS)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (
            "list: all",
            [("list/1", b""), ("list/deep/2", b"x"), ("list/deep/er/3", b"xx"), ("list-2/1", b"xxx"),
             ("list.jpg", b"xxxx")],
        ),
        ("read after", [("turn/file", b"%b %d" % (word, turn)) for turn in range(5) for word in (b"first", b"second")]),
        ("list after", [(f"seen/{turn}", b"") for turn in range(5)]),
        ("delete: ", [("gone/1", b""), ("gone/deep/2", b""), ("gone-not/3", b"")]),
        *[
            (start, [(f"{folder}/{name}", f"{folder}/{name}".encode()) for name in NAMED[folder]])
            for start, folder in (("keys with sp", "marks"), ("keys beyond", "text"), ("keys with a n", "control"))
        ],
        ("listed in", [(f"order/{name}", b"") for name in IN_ORDER]),
    ],
)  # fmt: skip
def test_a_check_writes_what_its_name_says(
    start: str, expected: list[tuple[str, bytes]], workspace: Workspace, written: list[tuple[str, bytes]]
) -> None:
    assert check(start).run(workspace) == ""
    assert written == expected


def test_bytes_of_every_kind_are_put(workspace: Workspace, written: list[tuple[str, bytes]]) -> None:
    assert check("put").run(workspace) == ""
    (none, marks, many) = [data for _, data in written]
    assert (none, marks, len(many)) == (b"", b"\0\r\n\xff", 1 << 20)


def test_a_key_and_the_folder_of_its_name_are_both_written(
    workspace: Workspace, written: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "write", lambda uri, data: written.append((uri[len(workspace.uri) + 1 :], data)))
    assert check("a key that is also").run(workspace) == "lost or changed in the listing: ['both/a', 'both/a/b']"
    assert written == [("both/a", b"both/a"), ("both/a/b", b"both/a/b")]


def test_the_longest_key_has_1024_bytes_and_no_part_of_it_more_than_200(
    workspace: Workspace, written: list[tuple[str, bytes]]
) -> None:
    assert check("keys of 1,024").run(workspace) == ""
    ((name, data),) = written
    assert data == name.encode()
    assert len(f"{workspace.key}/{name}".encode()) == 1024
    folder, *parts, last = name.split("/")
    assert folder == "long"
    assert set(parts) == {"x" * 200}
    assert set(last) == {"x"}


def test_below_a_folder_of_a_long_name_the_key_is_as_short_as_it_can_be(
    tmp_path: Path, written: list[tuple[str, bytes]]
) -> None:
    deep = Workspace(f"file://{tmp_path}{('/' + 'y' * 200) * 6}/checks")
    assert check("keys of 1,024").run(deep) == ""
    assert written == [("long/x", b"long/x")]


def test_eight_write_at_once_what_one_may_create(workspace: Workspace, written: list[tuple[str, bytes]]) -> None:
    assert check("conditional put").run(workspace) == ""
    assert written[:2] == [("once", b"first"), ("once", b"second")]
    assert sorted(written[2:]) == [("race", b"%d" % number) for number in range(8)]


# Stores that do another thing


def other_bytes(wrong: Callable[[bytes], bytes]) -> dict[str, Any]:
    real = storage.read
    return {"read": lambda uri: wrong(real(uri))}


def listed_too(name: str) -> dict[str, Any]:
    """A listing that shows another object as well."""
    real = storage.list_objects

    def more(uri: str) -> list[Any]:
        found = list(real(uri))
        return [*found, dataclasses.replace(found[-1], uri=uri.partition("/checks")[0] + f"/checks/{name}")]

    return {"list_objects": more}


def not_listed(part: str) -> dict[str, Any]:
    real = storage.list_objects
    return {"list_objects": lambda uri: [one for one in real(uri) if part not in one.uri]}


def refusing_conditions() -> dict[str, Any]:
    """It takes each condition for one that is not met, whether or not the object is there."""
    real = storage.write
    return {"write": lambda uri, data, only_if_absent=False: not only_if_absent and real(uri, data)}


def creating(*answers: bool) -> dict[str, Any]:
    """Whether it says of each write that it has created the object; the last answer is that of all further ones."""
    real, said = storage.write, list(answers)

    def write(uri: str, data: bytes, **given: Any) -> bool:
        real(uri, data)
        return said.pop(0) if len(said) > 1 else said[0]

    return {"write": write}


@pytest.mark.parametrize(
    ("start", "fault", "seen"),
    [
        ("put", lambda: other_bytes(lambda data: data.replace(b"\r", b"")), "an object of 4 bytes came back as anoth"),
        ("put", lambda: other_bytes(lambda data: data or b" "), "an object of 0 bytes came back as another"),
        ("list: all", lambda: not_listed("deep/er"), "wrote {'list/1': 0, 'list/deep/2': 1, 'list/deep/er/3': 2}, l"),
        ("read after", lambda: other_bytes(lambda data: data.replace(b"second", b"first")), "wrote b'second 0', read "),
        ("read after", lambda: {"delete_folder": lambda uri: None}, "a deleted object can still be read"),
        ("list after", lambda: not_listed("seen/3"), "an object that was just written is not listed"),
        ("list after", lambda: {"delete_folder": lambda uri: None}, "expected [], found ['seen/0', 'seen/1', 'seen/2'"),
        ("delete: ", lambda: {"delete_folder": lambda uri: None}, "expected ['gone-not/3'], found ['gone/1', 'gone/d"),
        ("keys with spaces", lambda: not_listed("a+b"), "lost or changed in the listing: ['marks/a+b']"),
        ("keys beyond", lambda: listed_too("text/a"), "lost or changed in the listing: ['text/a']"),
        ("keys with a new", lambda: other_bytes(lambda data: data.replace(b"\t", b" ")), "'control/a\\tb' came back "),
        ("keys of 1,024", lambda: not_listed("/long/"), "lost or changed in the listing: ['long/x"),
        ("listed in", lambda: listed_too("order/B"), "expected ['order/B', 'order/a-b', 'order/a.b', 'order/a/z', "),
        ("conditional put", lambda: creating(False), "the first was refused"),
        ("conditional put", refusing_conditions, "the first was refused"),
        ("conditional put", lambda: creating(True), "the second overwrote the first"),
        ("conditional put", lambda: creating(True, False), "the second overwrote the first"),
    ],
)
def test_a_store_that_does_another_thing_is_told_what_was_seen(
    start: str,
    fault: Callable[[], dict[str, Any]],
    seen: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, function in fault().items():
        monkeypatch.setattr(storage, name, function)
    assert check(start).run(workspace).startswith(seen)


def test_writers_who_are_all_told_that_they_were_first_are_counted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.write
    monkeypatch.setattr(
        storage, "write", lambda uri, data, **given: real(uri, data, **given) or uri.endswith("/checks/race")
    )
    seen = check("conditional put").run(workspace)
    assert seen == "8 of 8 concurrent writers were told that they created the object"


def test_a_check_is_appended_to_the_list_that_is_given() -> None:
    mine: list[Check] = []
    run = common.check("a name", "what it costs", into=mine)(lambda workspace: "seen")
    assert mine == [Check("a name", "what it costs", False, False, run)]
