"""The checks that `imagefeatures check-store` makes on every store, and what a no costs here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from imagefeatures import storage
from imagefeatures.storage.checks.workspace import Workspace


@dataclass(frozen=True)
class Check:
    """One thing that a store may or may not do.

    costs: what a no costs here. needed: the pipeline relies on it. s3_only: means nothing of files.
    run: returns "" for a yes, or what was seen instead; what the store raises is a no as well.
    """

    name: str
    costs: str
    needed: bool
    s3_only: bool
    run: Callable[[Workspace], str]


Run = Callable[[Workspace], str]
CHECKS: list[Check] = []
"""In the order in which they run."""


def check(
    name: str, costs: str, *, needed: bool = False, s3_only: bool = False, into: list[Check] = CHECKS
) -> Callable[[Run], Run]:
    """Make the decorated function the next of the checks. into: the list that it is added to."""

    def register(run: Run) -> Run:
        into.append(Check(name, costs, needed, s3_only, run))
        return run

    return register


@check("put and get: the bytes come back", "no photo and no shard can be trusted", needed=True)
def _bytes(workspace: Workspace) -> str:
    for data in (b"", b"\0\r\n\xff", os.urandom(1 << 20)):
        storage.write(workspace("bytes"), data)
        if storage.read(workspace("bytes")) != data:
            return f"an object of {len(data)} bytes came back as another"
    return ""


@check(
    "list: all keys of a folder, their sizes, no neighbour's", "photos are left out, or strangers taken in", needed=True
)
def _list(workspace: Workspace) -> str:
    names = {"list/1": 0, "list/deep/2": 1, "list/deep/er/3": 2}
    for name, size in {**names, "list-2/1": 3, "list.jpg": 4}.items():
        storage.write(workspace(name), b"x" * size)
    found = {o.uri.removeprefix(f"{workspace.uri}/"): o.size for o in storage.list_objects(f"{workspace.uri}/list/")}
    return "" if found == names else f"wrote {names}, listed {found}"


@check("read after write, overwrite and delete", "a step reads an older file than the one before it wrote", needed=True)
def _consistent_reads(workspace: Workspace) -> str:
    for turn in range(5):
        for data in (b"first %d" % turn, b"second %d" % turn):
            storage.write(workspace("turn/file"), data)
            if (found := storage.read(workspace("turn/file"))) != data:
                return f"wrote {data!r}, read {found!r}"
        storage.delete_folder(workspace.uri + "/turn")
        if storage.exists(workspace("turn/file")):
            return "a deleted object is still read"
    return ""


@check("list after write and delete", "a step does not see the shards of the one before it", needed=True)
def _consistent_lists(workspace: Workspace) -> str:
    for turn in range(5):
        storage.write(workspace(f"seen/{turn}"), b"")
        if f"seen/{turn}" not in workspace.listed("seen"):
            return "an object just written is not listed"
    storage.delete_folder(f"{workspace.uri}/seen")
    return same([], workspace.listed("seen"))


@check("delete: a folder and nothing beside it", "old runs stay, and are paid for", needed=True)
def _delete(workspace: Workspace) -> str:
    for name in ("gone/1", "gone/deep/2", "gone-not/3"):
        storage.write(workspace(name), b"")
    storage.delete_folder(f"{workspace.uri}/gone")
    return same(["gone-not/3"], workspace.listed("gone") + workspace.listed("gone-not"))


@check("keys with spaces, quotes and + %20 # ? & =", "photos so named are lost or quarantined", needed=True)
def _punctuation(workspace: Workspace) -> str:
    return _kept(
        workspace, "marks", ["a b", "a+b", "a%20b", "a%2Bb", "a#b", "a?b", "a&b=c", "a'b\"c", "a;b,c@d:e", "<a>"]
    )


@check("keys beyond ASCII; é composed and decomposed are two", "photos so named are lost or mixed up", needed=True)
def _beyond_ascii(workspace: Workspace) -> str:
    return _kept(workspace, "text", ["\u00e9", "e\u0301", "\uff5e", "\U0001f600", "\u65e5\u672c"])


@check("keys with a newline or a tab", "photos so named are lost: rename them first")
def _control(workspace: Workspace) -> str:
    return _kept(workspace, "control", ["a\nb", "a\tb"])


@check("keys of 1,024 bytes", "photos in folders so deep are lost: shorten their names first")
def _long(workspace: Workspace) -> str:
    room = max(1024 - len(f"{workspace.key}/long/".encode()), 1)
    return _kept(workspace, "long", [("/".join(["x" * 200] * 6))[: room - 1] + "x"])


@check("a key that is also a folder: a and a/b", "of such a pair only one photo is seen: rename the other")
def _both(workspace: Workspace) -> str:
    return _kept(workspace, "both", ["a", "a/b"])


@check("listed in the order of the keys' bytes", "shards hold other photos; the features are the same")
def _order(workspace: Workspace) -> str:
    names = sorted((f"order/{n}" for n in ("B", "a/z", "a-b", "a.b", "\u00e9", "\uff5e", "\U0001f600")), key=str.encode)
    for name in names:
        storage.write(workspace(name), b"")
    return same(names, workspace.listed("order"))


@check("conditional put: the second If-None-Match: * is refused", "of two attempts at one shard the later one's stays")
def _create_once(workspace: Workspace) -> str:
    if not storage.write(workspace("once"), b"first", only_if_absent=True):
        return "the first was refused"
    if storage.write(workspace("once"), b"second", only_if_absent=True) or storage.read(workspace("once")) != b"first":
        return "the second overwrote the first"
    with ThreadPoolExecutor(8) as pool:
        won = sum(pool.map(lambda n: storage.write(workspace("race"), b"%d" % n, only_if_absent=True), range(8)))
    return "" if won == 1 else f"of 8 at once {won} were told that they created it"


def _kept(workspace: Workspace, folder: str, names: list[str]) -> str:
    """Put, list and get: are the names the same, byte for byte, and is each its own object?"""
    names = [f"{folder}/{name}" for name in names]
    for name in names:
        storage.write(workspace(name), name.encode())
    if lost := set(names) ^ set(workspace.listed(folder)):
        return f"lost or changed in the listing: {sorted(lost)}"
    return next(
        (f"{name!r} came back as another" for name in names if storage.read(workspace(name)) != name.encode()), ""
    )


def same(expected: Iterable[str], found: Iterable[str]) -> str:
    """The result of a check that compares two lists."""
    expected, found = list(expected), list(found)
    return "" if found == expected else f"expected {expected}, found {found}"
