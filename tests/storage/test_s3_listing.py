"""Listings of a store that contradict themselves, by a real server whose pages are scripted: right, or refused."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import s3 as s3_store
from imagefeatures.storage import s3_listing
from support.scripted_store import Answer, ScriptedStore
from support.shared import BUCKET

FOLDER = f"s3://{BUCKET}/day"
LISTING = f"^{FOLDER}/: the store's listing "


def page(*keys: str, more: bool = False, token: str = "") -> Answer:
    """A page of a listing. keys: below the folder `day`, unless they begin with a slash."""
    whole = [key[1:] if key.startswith("/") else f"day/{key}" for key in keys]
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in whole)
    token = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    return 200, {}, f"<ListBucketResult><Name>x</Name>{truncated}{token}{contents}</ListBucketResult>".encode()


def listed() -> list[str]:
    return [stored.uri.removeprefix(f"{FOLDER}/") for stored in storage.list_objects(FOLDER)]


@pytest.mark.parametrize(
    ("pages", "refusal"),
    [
        ([page("a", "b", more=True, token="1"), page("b", "c")], "repeats a key: 'day/b' after 'day/b'"),
        ([page("a", "b", more=True, token="1"), page("a", "b")], "is not in order, so it may repeat keys: 'day/a'"),
        ([page("a", "a")], "repeats a key"),
        ([page("b", "a")], "is not in order"),
        ([page("a/x", "a-b", "a/y")], "is not in order"),
        ([page("a", more=True)], "breaks off: a page says that more keys follow, and not where"),
        ([page("a", more=True, token="1"), page("b", more=True, token="1"), page("c")], "has no end"),
        ([page("a", "/night/b")], "has 'night/b', which is not below it"),
        ([page("a", "/day")], "has 'day', which is not below it"),
        ([page("/day-2/a")], "has 'day-2/a', which is not below it"),
        ([page("two\nlines", "two\nlines")], r"repeats a key: 'day/two\\nlines'"),
    ],
)
def test_a_listing_that_contradicts_itself_is_refused_in_one_line(
    scripted: ScriptedStore, pages: list[Answer], refusal: str
) -> None:
    scripted.script = pages
    with pytest.raises(StoreRefused, match=LISTING + refusal) as refused:
        listed()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "keys",
    [
        ["A", "a", "a-b", "a.jpg", "a/x", "a0", "é", "\uff5e", "😀"],
        ["a", "a/x", "a/x/y", "a-b/z", "a.jpg"],
        ["2026/x", "2026/y", "2026-11/x", "2026.jpg"],
    ],
    ids=["by bytes", "folder by folder", "folder by folder, as SeaweedFS"],
)
def test_both_orders_of_stores_are_taken(scripted: ScriptedStore, keys: list[str]) -> None:
    half = len(keys) // 2
    scripted.script = [page(*keys[:half], more=True, token="1"), page(more=True, token="2"), page(*keys[half:])]
    assert listed() == keys


def test_pages_without_keys_end_some_time(scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "EMPTY_PAGES", 20)
    scripted.script = [page(more=True, token=str(number % 2)) for number in range(100)]
    with pytest.raises(StoreRefused, match=LISTING + "has no end"):
        listed()
    assert len(scripted.asked) == 21


@pytest.mark.parametrize("missing", ["Key", "Size", "ETag"])
def test_an_entry_that_lacks_something_is_refused(scripted: ScriptedStore, missing: str) -> None:
    status, headers, body = page("a")
    cut = body.replace(f"<{missing}>".encode(), b"<Other>").replace(f"</{missing}>".encode(), b"</Other>")
    scripted.script = [(status, headers, cut)]
    with pytest.raises(StoreRefused, match=LISTING + "has an entry without key, size or ETag"):
        listed()


@pytest.mark.parametrize("size", ["-1", "many", "1e3", "", str(2**63), "9" * 30])
def test_a_size_that_is_none_is_an_error_in_one_line(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 0.5)
    status, headers, body = page("a")
    scripted.always = (status, headers, body.replace(b"<Size>1<", f"<Size>{size}<".encode()))
    with pytest.raises((StoreRefused, StoreError)) as error:
        listed()
    assert "\n" not in str(error.value)


def test_nothing_outside_the_folder_is_deleted(scripted: ScriptedStore) -> None:
    scripted.script = [page("a", "/night/b")]
    with pytest.raises(StoreRefused, match="which is not below it"):
        storage.delete_folder(FOLDER)
    assert scripted.asked == ["GET"]


# Every way to damage a listing


def _repeat(pages: list[list[str]], chance: random.Random) -> None:
    at = chance.randrange(1, len(pages))
    pages[at].insert(0, pages[at - 1][-1])


def _again(pages: list[list[str]], chance: random.Random) -> None:
    at = chance.randrange(len(pages))
    pages.insert(at, pages[at])


def _swap(pages: list[list[str]], chance: random.Random) -> None:
    at = chance.randrange(1, len(pages))
    pages[at - 1], pages[at] = pages[at], pages[at - 1]


def _foreign(pages: list[list[str]], chance: random.Random) -> None:
    chance.choice(pages).append("/other/key")


DAMAGES: list[Callable[[list[list[str]], random.Random], None]] = [_repeat, _again, _swap, _foreign]


def test_a_hundred_damaged_listings_are_refused(scripted: ScriptedStore, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(18)
    refused = 0
    for attempt in range(100):
        keys = sorted(f"{chance.randrange(10**6):06d}/{number}" for number in range(20))
        pages: list[list[str]] = [keys[at : at + 5] for at in range(0, 20, 5)]
        DAMAGES[attempt % len(DAMAGES)](pages, chance)
        scripted.script = [
            page(*some, more=number + 1 < len(pages), token=f"{attempt}-{number}") for number, some in enumerate(pages)
        ]
        with pytest.raises(StoreRefused, match=LISTING):
            listed()
        refused += 1
    with capsys.disabled():
        print(f" {refused}/100 damaged listings refused ", end="")


def test_a_thousand_keys_on_pages_of_any_size_are_listed_once_each(scripted: ScriptedStore) -> None:
    keys: list[Any] = [f"{number:04d}" for number in range(1000)]
    cuts = [0, 1, 2, 500, 500, 999, 1000]
    scripted.script = [
        page(*keys[start:end], more=end < 1000, token=str(number))
        for number, (start, end) in enumerate(itertools.pairwise(cuts))
    ]
    assert listed() == keys
