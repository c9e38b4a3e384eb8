"""Which other objects are asked whether a store gives any, and what their answers mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from imagefeatures.storage import others
from imagefeatures.storage.objects import Listed, ObjectVersion
from imagefeatures.storage.others import others_succeed

LOST = ObjectVersion("b/lost", "e", 5)


def succeed(sizes: dict[str, int], read: Callable[[Listed], bool], version: ObjectVersion = LOST) -> bool:
    """others_succeed, where these objects are listed, by name."""
    return others_succeed(version, lambda: [Listed(f"b/{name}", size, "e") for name, size in sizes.items()], read)


def only(*names: str) -> Callable[[Listed], bool]:
    """Reads these objects whole, and no others."""
    return lambda other: other.path.removeprefix("b/") in names


def anything(_: Listed) -> bool:
    return True


def test_neither_the_object_itself_nor_an_empty_one_says_anything() -> None:
    assert not succeed({}, anything)
    assert not succeed({"lost": 5}, anything)
    assert not succeed({"lost": 5, "empty": 0}, anything)
    assert succeed({"lost": 5, "empty": 0, "one": 1}, anything)


def test_those_of_at_least_its_size_are_asked_if_there_are_any() -> None:
    sizes = {"lost": 5, "small": 4, "same": 5}
    assert succeed(sizes, only("same"))
    assert not succeed(sizes, only("small"))


def test_the_largest_are_asked_where_all_are_smaller() -> None:
    sizes = {f"{size}": size for size in range(1, 10)}
    large = ObjectVersion("b/lost", "e", 100)
    asked: list[str] = []
    assert not succeed(sizes, lambda other: bool(asked.append(other.path)), large)
    assert sorted(asked) == [f"b/{size}" for size in range(10 - others.OTHERS, 10)]
    assert succeed(sizes, only("5"), large)
    assert not succeed(sizes, only("4"), large)


def test_one_that_is_read_is_enough_and_one_that_raises_is_not_read() -> None:
    def read(other: Listed) -> bool:
        if other.path != "b/3":
            raise OSError("lost too")
        return True

    assert succeed({"1": 9, "2": 9, "3": 9}, read)
    assert not succeed({"1": 9, "2": 9}, read)


def test_a_folder_that_cannot_be_listed_has_no_others() -> None:
    def listed() -> list[Listed]:
        raise OSError("gone")

    assert not others_succeed(LOST, listed, anything)


def test_an_answer_is_waited_for() -> None:
    def read(_: Listed) -> bool:
        time.sleep(0.2)
        return True

    assert succeed({"one": 9}, read)


def test_nobody_waits_longer_for_those_that_never_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "SECONDS", 0.2)
    end, daemons = threading.Event(), []

    def read(_: Listed) -> bool:
        daemons.append(threading.current_thread().daemon)
        return end.wait(20)

    start = time.monotonic()
    assert not succeed({"1": 9, "2": 9}, read)
    took = time.monotonic() - start
    end.set()
    assert took < 0.8
    assert daemons == [True, True], "the process may end before them"
