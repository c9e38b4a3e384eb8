"""The checks of every store, and what a no to each of them costs the pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from imagefeatures import storage
from imagefeatures.storage.checks.workspace import Workspace


@dataclass(frozen=True)
class Check:
    """One feature that a store may have or lack.

    costs: what a no costs the pipeline. needed: whether the pipeline relies on the feature. s3_only: whether the
    check is skipped for a folder of files. run: returns "" for a yes, or what was seen instead; an error that the
    store raises is a no too.
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
    """Append the decorated function to the checks. into: the list to append it to."""

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
    "list: all keys of a folder, their sizes, no neighbour's",
    "photos are missed, or others' files taken in",
    needed=True,
)
def _list(workspace: Workspace) -> str:
    names = {"list/1": 0, "list/deep/2": 1, "list/deep/er/3": 2}
    for name, size in {**names, "list-2/1": 3, "list.jpg": 4}.items():
        storage.write(workspace(name), b"x" * size)
    stored = storage.list_objects(f"{workspace.uri}/list/")
    listed = {item.uri.removeprefix(f"{workspace.uri}/"): item.size for item in stored}
    return "" if listed == names else f"wrote {names}, listed {listed}"


@check("read after write, overwrite and delete", "a step reads older files than the last step wrote", needed=True)
def _consistent_reads(workspace: Workspace) -> str:
    for turn in range(5):
        for data in (b"first %d" % turn, b"second %d" % turn):
            storage.write(workspace("turn/file"), data)
            if (read := storage.read(workspace("turn/file"))) != data:
                return f"wrote {data!r}, read {read!r}"
        storage.delete_folder(workspace.uri + "/turn")
        if storage.exists(workspace("turn/file")):
            return "a deleted object can still be read"
    return ""


@check("list after write and delete", "a step does not see the last step's shards", needed=True)
def _consistent_lists(workspace: Workspace) -> str:
    for turn in range(5):
        storage.write(workspace(f"seen/{turn}"), b"")
        if f"seen/{turn}" not in workspace.listed("seen"):
            return "an object that was just written is not listed"
    storage.delete_folder(f"{workspace.uri}/seen")
    return same([], workspace.listed("seen"))


@check("delete: a folder and nothing beside it", "files of old runs stay and are billed", needed=True)
def _delete(workspace: Workspace) -> str:
    for name in ("gone/1", "gone/deep/2", "gone-not/3"):
        storage.write(workspace(name), b"")
    storage.delete_folder(f"{workspace.uri}/gone")
    return same(["gone-not/3"], workspace.listed("gone") + workspace.listed("gone-not"))


@check("keys with spaces, quotes and + %20 # ? & =", "photos with such names are lost or quarantined", needed=True)
def _punctuation(workspace: Workspace) -> str:
    return _keeps_names(
        workspace, "marks", ["a b", "a+b", "a%20b", "a%2Bb", "a#b", "a?b", "a&b=c", "a'b\"c", "a;b,c@d:e", "<a>"]
    )


@check(
    "keys beyond ASCII; é composed and decomposed are two", "photos with such names are lost or mixed up", needed=True
)
def _beyond_ascii(workspace: Workspace) -> str:
    return _keeps_names(workspace, "text", ["\u00e9", "e\u0301", "\uff5e", "\U0001f600", "\u65e5\u672c"])


@check("keys with a newline or a tab", "photos with such names are lost: rename them first")
def _control(workspace: Workspace) -> str:
    return _keeps_names(workspace, "control", ["a\nb", "a\tb"])


@check("keys of 1,024 bytes", "photos with such long keys are lost: shorten them first")
def _long(workspace: Workspace) -> str:
    length = max(1024 - len(f"{workspace.key}/long/".encode()), 1)
    return _keeps_names(workspace, "long", [("/".join(["x" * 200] * 6))[: length - 1] + "x"])


@check("a key that is also a folder: a and a/b", "only one photo of such a pair is listed: rename one")
def _both(workspace: Workspace) -> str:
    return _keeps_names(workspace, "both", ["a", "a/b"])


@check(
    "listed in the order of the keys' bytes",
    "photos are cut into shards differently; an order that is not even folder by folder is refused",
)
def _order(workspace: Workspace) -> str:
    names = sorted((f"order/{n}" for n in ("B", "a/z", "a-b", "a.b", "\u00e9", "\uff5e", "\U0001f600")), key=str.encode)
    for name in names:
        storage.write(workspace(name), b"")
    return same(names, workspace.listed("order"))


@check("conditional put: the second If-None-Match: * is refused", "of two attempts at one shard the later one counts")
def _create_once(workspace: Workspace) -> str:
    if not storage.write(workspace("once"), b"first", only_if_absent=True):
        return "the first was refused"
    if storage.write(workspace("once"), b"second", only_if_absent=True) or storage.read(workspace("once")) != b"first":
        return "the second overwrote the first"
    with ThreadPoolExecutor(8) as pool:
        created = sum(pool.map(lambda n: storage.write(workspace("race"), b"%d" % n, only_if_absent=True), range(8)))
    return "" if created == 1 else f"{created} of 8 concurrent writers were told that they created the object"


def _keeps_names(workspace: Workspace, folder: str, names: list[str]) -> str:
    """Put, list and get objects: "" if the names come back byte for byte, and each with its own object."""
    names = [f"{folder}/{name}" for name in names]
    for name in names:
        storage.write(workspace(name), name.encode())
    if lost := set(names) ^ set(workspace.listed(folder)):
        return f"lost or changed in the listing: {sorted(lost)}"
    return next(
        (f"{name!r} came back as another" for name in names if storage.read(workspace(name)) != name.encode()), ""
    )


def same(expected: Iterable[str], seen: Iterable[str]) -> str:
    """The result of a check that compares two lists."""
    expected, seen = list(expected), list(seen)
    return "" if seen == expected else f"expected {expected}, found {seen}"
