"""`imagefeatures audit`: how many rows are printed, what is said of pairs that were not compared, and the facts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import cli
from imagefeatures.audits import duplicates, gallery
from imagefeatures.audits.duplicates import PAIRS, Found
from imagefeatures.audits.gallery import Gallery
from imagefeatures.audits.labels import DOUBTS
from imagefeatures.commands.audit import SHOWN, _facts, _print_doubts, _print_pairs

NO_PHOTOS = pa.table({name: pa.array([], pa.string()) for name in ("uri", "image_id", "partition_key", "label")})


def gallery_of(photos: int = 0, **fields: Any) -> Gallery:
    near = np.empty((2, 5), np.int64)
    return Gallery(NO_PHOTOS, np.arange(photos), np.arange(2), near, near.astype(np.float32), "f", 7, **fields)


def doubts(count: int) -> pa.Table:
    row = {"uri": "s3://b/1", "label": "fig", "suggested": "pear", "doubt": 0.5, "neighbours": []}
    return pa.Table.from_pylist([row | {"doubt": 1.0}, *[row] * (count - 1)][:count], DOUBTS)


def pairs(count: int) -> pa.Table:
    row = {"group": 1, "kind": "near", "uri": "s3://b/1", "other_uri": "s3://b/2", "label": "fig", "other_label": "fig"}
    return pa.Table.from_pylist([row] * count, PAIRS)


@pytest.mark.parametrize(
    ("count", "more"), [(SHOWN, []), (SHOWN + 1, ["  and 1 more: --to FOLDER writes all of them"])]
)
def test_only_so_many_rows_are_printed(count: int, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _print_doubts(doubts(count), labelled=True)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"labels: {count} photos have a neighbour with another label, 1 of them no other neighbour"
    assert lines[0] == "  100%  s3://b/1  is fig, its neighbours are pear"
    assert lines[1:] == ["  50%  s3://b/1  is fig, its neighbours are pear"] * (SHOWN - 1) + more
    _print_pairs(pairs(count))
    _, *lines = capsys.readouterr().out.splitlines()
    assert lines == ["  1  near  s3://b/1  s3://b/2"] * SHOWN + more


def test_the_facts_say_how_the_neighbours_were_found() -> None:
    parsed = argparse.Namespace(dataset="fruit")
    exact = {
        "dataset": "fruit", "snapshot": 7, "photos": 3, "images": 2, "neighbours": 5, "exact": True, "recall": None,
        "recall_images": 0,
    }  # fmt: skip
    assert _facts(gallery_of(3), parsed) == exact
    found = _facts(gallery_of(3, recall=0.9, sampled=4), parsed)
    assert found == exact | {"exact": False, "recall": 0.9, "recall_images": 4}


@pytest.fixture
def nothing_near(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An audit of no photos. Returns what the gallery was asked for and the least cosine."""
    asked: list[Any] = []
    monkeypatch.setattr(gallery, "load", lambda *given: asked.append(given[1:]) or gallery_of())
    monkeypatch.setattr(duplicates, "find", lambda _, cosine: asked.append(cosine) or Found(pairs(0), 0, 0))
    return asked


@pytest.mark.usefixtures("settings")
def test_numbers_at_their_bounds_are_taken(nothing_near: list[Any]) -> None:
    for neighbours in ("1", "1000"):
        words = ["--neighbours", neighbours, "--cosine", "1", "--partition", "a", "--partition", "b"]
        assert cli.main(["audit", "photos", *words]) == 0
        assert nothing_near[-2:] == [("photos", int(neighbours), ["a", "b"]), 1.0]
    assert cli.main(["audit", "photos"]) == 0
    assert nothing_near[-2:] == [("photos", 10, None), 0.9]


@pytest.mark.usefixtures("settings", "nothing_near")
def test_a_cosine_of_zero_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "photos", "--cosine", "0"]) == 65
    assert capsys.readouterr().err == "imagefeatures: --cosine: 0.0 is not above 0 and at most 1\n"


@pytest.mark.usefixtures("settings", "nothing_near")
def test_pairs_that_were_not_compared_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["audit", "photos", "--to", str(tmp_path)]) == 0
    before = capsys.readouterr().out.splitlines()
    assert not any("compared by their" in line or "not compared" in line for line in before)
    facts = json.loads((tmp_path / "search.json").read_text())
    assert facts["dataset"] == "photos"
    monkeypatch.setattr(duplicates, "find", lambda *_: Found(pairs(0), 1200, 3400))
    assert cli.main(["audit", "photos"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "3,400 pairs were not compared by their pixels, as an image cannot be read as RGB from where it was; "
        "those with a cosine of 0.98 or more count as the same",
        "1,200 more pairs were not compared: raise --cosine, or choose partitions",
    ]
