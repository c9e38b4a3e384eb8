"""The pages of an S3 listing, made by hand: which are believed, and which are refused in which words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from imagefeatures.errors import StoreRefused
from imagefeatures.storage.objects import Listed
from imagefeatures.storage.s3_listing import EMPTY_PAGES, list_keys

LISTING = "s3://b/p/: the store's listing"


def entry(key: str, **fields: Any) -> dict[str, Any]:
    return {"Key": f"p/{key}", "Size": 1, "ETag": '"e"', **fields}


def page(*entries: dict[str, Any], after: str | None = None, **fields: Any) -> dict[str, Any]:
    """A page of a listing. after: the token of the next one."""
    more = {} if after is None else {"NextContinuationToken": after}
    return {"Name": "b", "IsTruncated": after is not None, "Contents": list(entries), **more, **fields}


def listed(pages: Iterable[dict[str, Any]], tokens: list[str | None] | None = None) -> list[Listed]:
    left = iter(pages)

    def get_page(ContinuationToken: str | None = None) -> dict[str, Any]:
        if tokens is not None:
            tokens.append(ContinuationToken)
        return next(left)

    return list(list_keys(get_page, "b", "p/"))


def test_the_keys_of_all_pages_come_in_order_with_size_and_etag() -> None:
    tokens: list[str | None] = []
    pages = [page(entry("a", Size=0), entry("b"), after="1"), page(after="2"), page(entry("c", Size=7, ETag="bare"))]
    assert listed(pages, tokens) == [Listed("b/p/a", 0, "e"), Listed("b/p/b", 1, "e"), Listed("b/p/c", 7, "bare")]
    assert tokens == [None, "1", "2"]


def test_a_page_that_says_less_than_it_could_is_a_page() -> None:
    assert listed([{"Name": "b"}]) == []
    assert listed([{"IsTruncated": False}]) == []
    with pytest.raises(StoreRefused, match=r"^s3://b: the server there is not an S3 store"):
        listed([{}])


@pytest.mark.parametrize(
    "wrong",
    [{"Key": ""}, {"Key": None}, {"Size": None}, {"Size": -1}, {"ETag": None}],
    ids=["empty key", "no key", "no size", "negative size", "no ETag"],
)
def test_an_entry_that_lacks_something_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        StoreRefused, match=f"^{LISTING} has an entry without key, size or ETag, or with an impossible size$"
    ):
        listed([page(entry("a"), entry("b", **wrong))])


def test_a_key_that_is_not_below_the_prefix_is_refused() -> None:
    with pytest.raises(StoreRefused, match=f"^{LISTING} has 'q/a', which is not below it$"):
        listed([page(entry("a", Key="q/a"))])


def test_pages_that_go_on_without_a_place_are_refused() -> None:
    for wrong in ({"IsTruncated": True}, {"IsTruncated": True, "NextContinuationToken": ""}):
        with pytest.raises(StoreRefused, match=f"^{LISTING} breaks off: a page says that more keys follow, and not"):
            listed([page(entry("a"), **wrong), page(entry("b"))])


def test_a_token_that_comes_twice_in_a_row_has_no_end() -> None:
    with pytest.raises(StoreRefused, match=f"^{LISTING} has no end: the store goes on from the same place"):
        listed([page(entry("a"), after="1"), page(entry("b"), after="1"), page(entry("c"))])
    found = listed([page(entry("a"), after="1"), page(entry("b"), after="2"), page(entry("c"), after="1"), page()])
    assert len(found) == 3


def test_empty_pages_are_counted_from_the_last_key() -> None:
    empty = [page(after=f"t{number}") for number in range(EMPTY_PAGES)]
    assert EMPTY_PAGES == 1000
    others = [page(after=f"u{number}") for number in range(EMPTY_PAGES)]
    assert len(listed([*empty, page(entry("a"), after="k"), *others, page(entry("b"))])) == 2
    with pytest.raises(StoreRefused, match=f"^{LISTING} has no end: "):
        listed([*empty, page(after="one too many"), page(entry("b"))])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a", "a"], "repeats a key: 'p/a' after 'p/a'"),
        (["b", "a"], "is not in order, so it may repeat keys: 'p/a' after 'p/b'"),
        # By bytes at first, folder by folder later: a listing has one order, or none.
        (["a-b", "a/b", "c/d", "c-d"], "is not in order, so it may repeat keys: 'p/c-d' after 'p/c/d'"),
        (["c/d", "c-d", "e-f", "e/f"], "is not in order, so it may repeat keys: 'p/e/f' after 'p/e-f'"),
    ],
)
def test_keys_out_of_order_are_refused(keys: list[str], words: str) -> None:
    with pytest.raises(StoreRefused, match=f"^{re.escape(f'{LISTING} {words}')}$"):
        listed([page(*map(entry, keys))])


@pytest.mark.parametrize(
    "keys", [["a-b", "a/b", "a0", "b"], ["a/b", "a-b", "a0", "b"], ["é", "ﬀ", "😀"], ["a/", "a/a", "a/b/c"]]
)
def test_keys_by_their_bytes_or_folder_by_folder_are_in_order(keys: list[str]) -> None:
    assert [found.path for found in listed([page(*map(entry, keys))])] == [f"b/p/{key}" for key in keys]


def test_names_with_control_characters_stay_on_one_line() -> None:
    with pytest.raises(StoreRefused) as refused:
        listed([page(entry("a\nb", Key="q/\x1b[31m\n"))])
    assert str(refused.value).isprintable()
