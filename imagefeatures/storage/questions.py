"""The questions that `imagefeatures check-store` asks every store, and what a no costs here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagefeatures import storage

if TYPE_CHECKING:
    from imagefeatures.storage.probe import Place


@dataclass(frozen=True)
class Question:
    """One thing that a store may or may not do.

    costs: what a no costs here. needed: the pipeline relies on it. s3_only: means nothing of files.
    ask: returns "" for a yes, or what was seen instead; what the store raises is a no as well.
    """

    name: str
    costs: str
    needed: bool
    s3_only: bool
    ask: Callable[[Place], str]


QUESTIONS: list[Question] = []
"""In the order in which they are asked."""


def question(name: str, costs: str, *, needed: bool = False, s3_only: bool = False) -> Callable:
    """Make the decorated function the next of the QUESTIONS."""

    def register(ask: Callable[[Place], str]) -> Callable[[Place], str]:
        QUESTIONS.append(Question(name, costs, needed, s3_only, ask))
        return ask

    return register


@question("put and get: the bytes come back", "no photo and no shard can be trusted", needed=True)
def _bytes(at: Place) -> str:
    for data in (b"", b"\0\r\n\xff", os.urandom(1 << 20)):
        storage.write(at("bytes"), data)
        if storage.read(at("bytes")) != data:
            return f"an object of {len(data)} bytes came back as another"
    return ""


@question(
    "list: all keys of a folder, their sizes, no neighbour's", "photos are left out, or strangers taken in", needed=True
)
def _list(at: Place) -> str:
    names = {"list/1": 0, "list/deep/2": 1, "list/deep/er/3": 2}
    for name, size in {**names, "list-2/1": 3, "list.jpg": 4}.items():
        storage.write(at(name), b"x" * size)
    found = {o.uri.removeprefix(f"{at.uri}/"): o.size for o in storage.list_objects(f"{at.uri}/list/")}
    return "" if found == names else f"wrote {names}, listed {found}"


@question(
    "read after write, overwrite and delete", "a step reads an older file than the one before it wrote", needed=True
)
def _consistent_reads(at: Place) -> str:
    for turn in range(5):
        for data in (b"first %d" % turn, b"second %d" % turn):
            storage.write(at("turn/file"), data)
            if (found := storage.read(at("turn/file"))) != data:
                return f"wrote {data!r}, read {found!r}"
        storage.delete_folder(at.uri + "/turn")
        if storage.exists(at("turn/file")):
            return "a deleted object is still read"
    return ""


@question("list after write and delete", "a step does not see the shards of the one before it", needed=True)
def _consistent_lists(at: Place) -> str:
    for turn in range(5):
        storage.write(at(f"seen/{turn}"), b"")
        if f"seen/{turn}" not in at.listed("seen"):
            return "an object just written is not listed"
    storage.delete_folder(f"{at.uri}/seen")
    return same([], at.listed("seen"))


@question("delete: a folder and nothing beside it", "old runs stay, and are paid for", needed=True)
def _delete(at: Place) -> str:
    for name in ("gone/1", "gone/deep/2", "gone-not/3"):
        storage.write(at(name), b"")
    storage.delete_folder(f"{at.uri}/gone")
    return same(["gone-not/3"], at.listed("gone") + at.listed("gone-not"))


@question("keys with spaces, quotes and + %20 # ? & =", "photos so named are lost or quarantined", needed=True)
def _punctuation(at: Place) -> str:
    return _kept(at, "marks", ["a b", "a+b", "a%20b", "a%2Bb", "a#b", "a?b", "a&b=c", "a'b\"c", "a;b,c@d:e", "<a>"])


@question("keys beyond ASCII; é composed and decomposed are two", "photos so named are lost or mixed up", needed=True)
def _beyond_ascii(at: Place) -> str:
    return _kept(at, "text", ["\u00e9", "e\u0301", "\uff5e", "\U0001f600", "\u65e5\u672c"])


@question("keys with a newline or a tab", "photos so named are lost: rename them first")
def _control(at: Place) -> str:
    return _kept(at, "control", ["a\nb", "a\tb"])


@question("keys of 1,024 bytes", "photos in folders so deep are lost: shorten their names first")
def _long(at: Place) -> str:
    room = max(1024 - len(f"{at.key}/long/".encode()), 1)
    return _kept(at, "long", [("/".join(["x" * 200] * 6))[: room - 1] + "x"])


@question("a key that is also a folder: a and a/b", "of such a pair only one photo is seen: rename the other")
def _both(at: Place) -> str:
    return _kept(at, "both", ["a", "a/b"])


@question("listed in the order of the keys' bytes", "shards hold other photos; the features are the same")
def _order(at: Place) -> str:
    names = sorted((f"order/{n}" for n in ("B", "a/z", "a-b", "a.b", "\u00e9", "\uff5e", "\U0001f600")), key=str.encode)
    for name in names:
        storage.write(at(name), b"")
    return same(names, at.listed("order"))


@question(
    "conditional put: the second If-None-Match: * is refused", "of two attempts at one shard the later one's stays"
)
def _create_once(at: Place) -> str:
    if not storage.write(at("once"), b"first", only_if_absent=True):
        return "the first was refused"
    if storage.write(at("once"), b"second", only_if_absent=True) or storage.read(at("once")) != b"first":
        return "the second overwrote the first"
    with ThreadPoolExecutor(8) as pool:
        won = sum(pool.map(lambda n: storage.write(at("race"), b"%d" % n, only_if_absent=True), range(8)))
    return "" if won == 1 else f"of 8 at once {won} were told that they created it"


def _kept(at: Place, folder: str, names: list[str]) -> str:
    """Put, list and get: are the names the same, byte for byte, and is each its own object?"""
    names = [f"{folder}/{name}" for name in names]
    for name in names:
        storage.write(at(name), name.encode())
    if lost := set(names) ^ set(at.listed(folder)):
        return f"lost or changed in the listing: {sorted(lost)}"
    return next((f"{name!r} came back as another" for name in names if storage.read(at(name)) != name.encode()), "")


def same(expected: Iterable[str], found: Iterable[str]) -> str:
    """The answer to a question whose answer is a list."""
    expected, found = list(expected), list(found)
    return "" if found == expected else f"expected {expected}, found {found}"
