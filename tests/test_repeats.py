"""Texts that come more than once, found by their hashes."""

from __future__ import annotations

from imagefeatures.repeats import HashedTexts


def test_those_that_come_again_are_found_whichever_batch_they_are_in() -> None:
    texts = HashedTexts()
    assert texts.repeated() == set()
    texts.add(["a", "b", "c"])
    assert texts.repeated() == set()
    texts.add(iter(["d", "a", "c", "c"]))
    assert texts.repeated() == {hash("a"), hash("c")}
