"""Which rows move, and to which shard: the search in numbers, and runs of many small shards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import local, manifest, shards
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE, equal_bytes
from support.photos import fill, jpeg
from support.several import FIRST, Lake, Spies
from support.shared import PARTITION, THIS_PROCESS


def repeated(*beginnings: int) -> list[int]:
    return equal_bytes._repeated(np.array(beginnings, equal_bytes.PREFIX)).tolist()


HALF = 1 << 32


def test_rows_whose_images_may_come_again_are_found_by_half_of_their_beginning() -> None:
    assert repeated() == repeated(7) == repeated(3, 9, 5) == []
    assert repeated(9, 3, 9) == [0, 2]
    assert repeated(3, 9, 3, 9, 1) == [0, 1, 2, 3]
    assert repeated(3, 7, 3, 10, 1) == [0, 2]
    assert repeated(1, 1 + HALF, 2 + HALF) == [0, 1], "the other half may differ"
    assert repeated(HALF, 1 + HALF) == []
    assert equal_bytes._repeated(np.empty(0, equal_bytes.PREFIX)).dtype == np.int64


def takers(*counts: int, image: bytes = b"0") -> dict[int, int]:
    """How many rows of one image each shard computes. counts: of its rows in each shard."""
    where = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return dict(Counter(equal_bytes.takers(np.full(len(where), image, "S8"), where).tolist()))


def test_one_shard_takes_as_many_rows_as_it_may_hold() -> None:
    """The first byte of the hash, here 48, tells which shard is the first."""
    assert takers(4, 4) == {0: 8}
    assert takers(1, 6, 1) == {0: 8}
    assert takers(1, 1, 1, 1, 1) == {3: 5}
    assert takers(*[1] * 20) == {8: 8, 16: 8, 4: 4}
    assert takers(1, 7, 1) == {0: 8, 2: 1}


def test_a_shard_that_holds_as_many_by_itself_takes_none_and_gives_none() -> None:
    assert takers(30, 1, 40, 7) == {0: 30, 1: 8, 2: 40}
    assert takers(1, 8, 1) == {0: 2, 1: 8}
    assert takers(9) == {0: 9}
    assert takers(5, 5) == {0: 5, 1: 5}


def test_images_do_not_disturb_each_other() -> None:
    images, where = np.array([b"1", b"0", b"0", b"1", b"2"], "S8"), np.array([0, 0, 1, 2, 2], np.int32)
    assert equal_bytes.takers(images, where).tolist() == [2, 0, 0, 2, 2]


# Runs of shards of one image


def validated(settings: Settings, photos: Path, files: dict[str, bytes], shard_images: int = 1) -> Run:
    lake = Lake(settings, photos)
    fill(photos / PARTITION, files)
    run = lake.planned(lake.dataset(FIRST), shard_images=shard_images)
    local.run_steps(run, THIS_PROCESS, (INGEST, VALIDATE))
    return run


def settled(run: Run) -> dict[int, tuple[list[str], list[str]]]:
    """Of each shard of which something moves the names that it takes, and those that it gives."""
    count = manifest.read_listing(run).shards
    equal_bytes.settle_moves(run, count, range(count))
    moves = equal_bytes.moves_of(run)
    found = {shard: equal_bytes.moved(moves, shard) for shard in range(count)}
    names = {
        shard: tuple([Path(uri).name for uri, _ in rows] for rows in both) for shard, both in found.items() if any(both)
    }
    return names  # type: ignore[return-value]


def test_of_many_shards_each_is_looked_at_once(settings: Settings, tmp_path: Path) -> None:
    contents = [jpeg(seed, 16, 16) for seed in range(67)]
    contents[64], contents[66] = contents[2], contents[5]
    run = validated(settings, tmp_path / "photos", {f"{at:02d}.jpg": data for at, data in enumerate(contents)})
    assert manifest.read_listing(run).shards == 67
    found = settled(run)
    pairs = {frozenset(("02.jpg", "64.jpg")), frozenset(("05.jpg", "66.jpg"))}
    taken = {frozenset((f"{shard:02d}.jpg", *takes)) for shard, (takes, _) in found.items() if takes}
    given = {f"{shard:02d}.jpg" for shard, (_, gives) in found.items() if gives == [f"{shard:02d}.jpg"]}
    assert taken == pairs
    assert len(found) == 4
    assert len(given) == 2
    for shard, (takes, _) in found.items():
        verdicts = shards.read_output(run.layout, VALIDATE, shard)
        assert equal_bytes.to_compute(run, shard, verdicts).num_rows == (2 if takes else 0)


def test_objects_that_validate_rejects_move_nowhere(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{at}.jpg": jpeg(at % 3, 16, 16) for at in range(4)} | {f"text {at}": b"no image" for at in range(3)}
    run = validated(settings, tmp_path / "photos", files)
    monkeypatch.setattr(equal_bytes.np, "empty", np.zeros)  # what was in memory before looks like equal images
    assert sorted(settled(run).values()) in (
        [([], ["3.jpg"]), (["3.jpg"], [])],
        [([], ["0.jpg"]), (["0.jpg"], [])],
    )


def test_nothing_is_settled_while_nothing_is_to_be_done(settings: Settings, tmp_path: Path) -> None:
    run = validated(settings, tmp_path / "photos", {"0.jpg": jpeg(0, 16, 16)})
    equal_bytes.settle_moves(run, 1, [])
    assert not equal_bytes.search(run).has_ended()
    assert settled(run) == {}
    assert equal_bytes.search(run).has_ended()


def test_a_shard_computes_the_first_row_of_each_image_before_all_others(settings: Settings, tmp_path: Path) -> None:
    red, blue = jpeg(0, 16, 16), jpeg(1, 16, 16)
    files = {"0.jpg": red, "1.jpg": red, "2.jpg": red, "3.jpg": blue, "4.jpg": blue, "5.jpg": red}
    run = validated(settings, tmp_path / "photos", files, shard_images=100)
    orders = {}
    for shard in range(manifest.read_listing(run).shards):
        verdicts = shards.read_output(run.layout, VALIDATE, shard)
        both = (verdicts, equal_bytes.to_compute(run, shard, verdicts))
        listed, computed = ("".join(Path(uri).stem for uri in rows["uri"].to_pylist()) for rows in both)
        orders[listed] = computed
    assert orders == {"012": "012", "345": "354"}


def test_rows_are_in_the_order_of_the_listing_though_equal_images_are_computed_once(
    settings: Settings, tmp_path: Path
) -> None:
    red, blue = jpeg(0, 16, 16), jpeg(1, 16, 16)
    files = {"0.jpg": red, "1.jpg": red, "2.jpg": red, "3.jpg": blue, "4.jpg": blue, "5.jpg": red}
    run, spies = validated(settings, tmp_path / "photos", files, shard_images=100), Spies()
    for step in (RESIZE, FEATURIZE):
        for shard in range(manifest.read_listing(run).shards):
            spies.work(run, step, shard)
    assert spies.decoded == 3
    rows = [
        row for one in shards.read_receipts(run.layout, FEATURIZE) for row in shards.read_staged(one.output).to_pylist()
    ]
    assert "".join(Path(row["uri"]).stem for row in rows) == "012345"
