"""Images of a run with the same bytes: decoded once, computed once, and a row for each."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import isolation, lanes, local, manifest, read, shards, summaries
from imagefeatures.errors import AuditFailed, StoreRefused
from imagefeatures.layout import Layout
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE, equal_bytes, register
from imagefeatures.workers import ThisProcess
from imagefeatures_spark import resize as resize_job
from support.lists_as_spark import Context
from support.photos import fill, jpeg, png_of
from support.reusing import local as path_of
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION, THIS_PROCESS

CONTENTS = [jpeg(seed, 60 + seed, 50) for seed in range(14)]
COPIES = [0, 0, 0, 3, 7, 13]
"""Which of the contents come again."""

FILES = {f"{'red' if at % 2 else 'green'}/{at:02d}.jpg": data for at, data in enumerate(CONTENTS)}
FILES |= {f"{'blue' if at % 2 else 'green'}/again-{at}.jpg": CONTENTS[seed] for at, seed in enumerate(COPIES)}


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    fill(tmp_path / "photos" / PARTITION, FILES)
    return Lake(settings, tmp_path / "photos")


def validated(lake: Lake, **fields: Any) -> Run:
    run = lake.planned(lake.dataset(FIRST, **fields))
    local.run_steps(run, THIS_PROCESS, (INGEST, VALIDATE))
    return run


def files_of(run: Run, step: str = FEATURIZE) -> list[list[dict[str, Any]]]:
    """The rows of each shard."""
    return [shards.read_staged(receipt.output).to_pylist() for receipt in shards.read_receipts(run.layout, step)]


def shards_of(run: Run) -> dict[str, int]:
    """The shard in which each object is listed, by its name."""
    count = manifest.read_listing(run).shards
    return {Path(uri).name: at for at in range(count) for uri in manifest.read_manifest(run, at)["uri"].to_pylist()}


def test_twenty_files_of_fourteen_contents_are_fourteen_decodes_and_fourteen_vectors(lake: Lake) -> None:
    spies = Spies()
    run = lake.ready(spies, FIRST, label="parent")
    assert manifest.read_listing(run).shards >= 7
    assert (spies.decoded, spies.computed) == (14, Counter({FIRST: 14}))
    outcome = register.register(run.layout.run_file, lake.settings)
    assert (outcome.row["registered"], outcome.row["quarantined"], outcome.computed) == (20, 0, 20)
    rows = lake.rows("photos")
    assert set(rows) == {Path(name).name for name in FILES}
    for name, data in FILES.items():
        row = rows[Path(name).name]
        facts = (row["image_id"], row["size"], row["label"], row["width"], row["height"], row["mode"])
        of_content = 60 + CONTENTS.index(data)
        assert facts == (hashlib.sha256(data).hexdigest(), len(data), Path(name).parent.name, of_content, 50, "RGB")
        original = rows[f"{CONTENTS.index(data):02d}.jpg"]
        assert row["features"] == original["features"]
    assert len({tuple(row["features"]) for row in rows.values()}) == 14


def test_the_shards_do_not_change_the_rows(lake: Lake) -> None:
    found = []
    for images in (2, 7):
        run, spies = lake.planned(lake.dataset(FIRST, reuse=False), shard_images=images), Spies()
        local.run_steps(run, ThisProcess(spies.work))
        assert spies.decoded == 14
        register.register(run.layout.run_file, lake.settings)
        found.append(lake.rows("photos"))
    assert found[0] == found[1]


def test_rows_that_a_shard_takes_follow_its_own_in_order(lake: Lake) -> None:
    run = lake.ready(Spies(), FIRST)
    listed, moved = shards_of(run), 0
    for shard, rows in enumerate(files_of(run)):
        names = [Path(row["uri"]).name for row in rows]
        places = [listed[name] for name in names]
        own = [row["uri"] for row, place in zip(rows, places, strict=True) if place == shard]
        taken = [row["uri"] for row, place in zip(rows, places, strict=True) if place != shard]
        assert own == sorted(own)
        assert taken == sorted(taken)
        assert [row["uri"] for row in rows] == own + taken
        moved += len(taken)
    assert moved > 0


def test_an_image_that_the_decoder_rejects_is_tried_once_and_each_object_has_its_row(lake: Lake) -> None:
    bad = png_of(64, 48, b"no zlib stream")
    fill(lake.photos / PARTITION, dict.fromkeys(("a.png", "green/x.png", "red/y.png", "red/z.png"), bad))
    spies = Spies()
    outcome = lake.published(FIRST, spies=spies)
    assert spies.decoded == 15
    assert (outcome.row["registered"], dict(outcome.row["reasons"])) == (20, {"CORRUPT": 4})
    rows = read.table(lake.settings, "quarantine").to_pylist()
    assert sorted(Path(row["uri"]).name for row in rows) == ["a.png", "x.png", "y.png", "z.png"]
    assert len({(row["detail"], row["image_id"], row["step"]) for row in rows}) == 1


def test_a_vector_that_is_not_finite_rejects_each_object_with_its_bytes(lake: Lake) -> None:
    colour = round(float(np.mean(isolation.decoder().run([CONTENTS[0]], _limits(lake), _chain(lake)).decoded_pixels())))
    spies = Spies(not_finite=(FIRST, colour))
    outcome = lake.published(FIRST, spies=spies)
    rejected = {Path(row["uri"]).name for row in read.table(lake.settings, "quarantine").to_pylist()}
    assert {"00.jpg", "again-0.jpg", "again-1.jpg", "again-2.jpg"} <= rejected
    assert dict(outcome.row["reasons"]) == {"NOT_FINITE": len(rejected)}


def _limits(lake: Lake) -> Any:
    return lake.dataset(FIRST).limits


def _chain(lake: Lake) -> Any:
    return lake.planned(lake.dataset(FIRST)).preprocessing


def test_several_models_and_pixels_that_stay_have_a_row_for_each_object(lake: Lake) -> None:
    spies = Spies()
    lake.published(FIRST, spies=spies, pixels="keep")
    assert spies.decoded == 14
    fill(lake.photos / PARTITION, {"new.jpg": jpeg(30), "red/new-again.jpg": jpeg(30)})
    lake.published(FIRST, SECOND, THIRD, spies=(more := Spies()), pixels="keep")
    assert (more.decoded, more.computed) == (15, Counter({FIRST: 1, SECOND: 15, THIRD: 15}))
    tables = {name: lake.rows(name) for name in lake.dataset(FIRST, SECOND, THIRD, pixels="keep").tables}
    assert [len(rows) for rows in tables.values()] == [22] * 4
    for name, rows in tables.items():
        column = "pixels" if name.endswith("_pixels") else "features"
        by_image = {(row["image_id"], str(row[column])) for row in rows.values()}
        assert len(by_image) == len({row["image_id"] for row in rows.values()}) == 15


@pytest.mark.parametrize("lost", [(RESIZE,), (RESIZE, FEATURIZE)], ids=["resize", "both"])
def test_a_shard_that_is_done_again_makes_the_same_rows(lake: Lake, lost: tuple[str, ...]) -> None:
    run = lake.ready(Spies(), FIRST)
    before = files_of(run)
    count = manifest.read_listing(run).shards
    moves = equal_bytes.moves_of(run)
    moving = [shard for shard in range(count) if any(equal_bytes.moved(moves, shard))]
    assert any(equal_bytes.moved(moves, shard).taken for shard in moving)
    for shard in moving:
        for step in lost:
            path_of(run.layout.receipt(step, shard)).unlink()
        local.run_steps(run, ThisProcess(Spies().work))
        assert files_of(run) == before
    register.register(run.layout.run_file, lake.settings)


def test_equal_images_of_one_shard_share_their_pixels_though_nothing_was_settled(lake: Lake) -> None:
    run = lake.planned(lake.dataset(FIRST), shard_images=100)
    local.run_steps(run, THIS_PROCESS, (INGEST, VALIDATE))
    spies, count = Spies(), manifest.read_listing(run).shards
    for step in (RESIZE, FEATURIZE):
        for shard in range(count):
            spies.work(run, step, shard)
    assert 14 <= spies.decoded < 20
    assert spies.computed == {FIRST: spies.decoded}
    pixels = [row["pixels"] for rows in files_of(run, RESIZE) for row in rows]
    assert (len(pixels), pixels.count(None)) == (20, 20 - spies.decoded)
    register.register(run.layout.run_file, lake.settings)
    assert len(lake.rows("photos")) == 20


# What is settled


def test_moves_are_settled_once_for_a_run(lake: Lake) -> None:
    run = validated(lake)
    count = manifest.read_listing(run).shards
    equal_bytes.settle_moves(run, count, range(count))
    first = equal_bytes.moves_of(run)
    assert first.files
    path_of(run.layout.receipt(VALIDATE, 0)).unlink()  # a second search would fail
    equal_bytes.settle_moves(run, count, range(count))
    assert equal_bytes.moves_of(run) == first


@pytest.mark.parametrize(("fields", "done"), [({"duplicates": "reject"}, 0), ({}, 1)], ids=["duplicates", "begun"])
def test_no_row_moves_where_there_are_no_duplicates_and_where_resize_has_begun(
    lake: Lake, fields: dict[str, str], done: int
) -> None:
    run = validated(lake, **fields)
    count = manifest.read_listing(run).shards
    equal_bytes.settle_moves(run, count, range(done, count))
    assert equal_bytes.moves_of(run).files == {}
    assert equal_bytes.search(run).has_ended() == bool(done)


def test_the_resize_job_settles_the_moves(lake: Lake) -> None:
    run, reference = validated(lake), validated(lake)
    resize_job.work(Context(), run)
    count = manifest.read_listing(reference).shards
    equal_bytes.settle_moves(reference, count, range(count))
    both = [[equal_bytes.moved(equal_bytes.moves_of(one), shard) for shard in range(count)] for one in (run, reference)]
    assert both[0] == both[1]
    assert sum(len(moved.taken) for moved in both[0]) > 0


def test_a_disk_without_room_is_told_in_one_line(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run = validated(lake)

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lanes, "sorted_rows", full)
    count = manifest.read_listing(run).shards
    with pytest.raises(StoreRefused, match="no space left"):
        equal_bytes.settle_moves(run, count, range(count))


def taken_by(*shards_of_images: dict[bytes, int]) -> Counter[tuple[bytes, int]]:
    """How many rows of each image each shard computes. shards_of_images: of each shard, its rows by image."""
    rows = [(image, at) for at, shard in enumerate(shards_of_images) for image, n in shard.items() for _ in range(n)]
    images, where = np.array([row[0] for row in rows], "S8"), np.array([row[1] for row in rows], np.int32)
    takers = equal_bytes.takers(images, where)
    for taker, (image, _) in zip(takers.tolist(), rows, strict=True):
        assert image in shards_of_images[taker]  # it has the bytes
    return Counter(zip(images.tolist(), takers.tolist(), strict=True))


def test_an_image_lies_with_one_of_its_shards_and_its_hash_says_which() -> None:
    images = [bytes([first, 65]) for first in range(64, 96)]
    found = taken_by(dict.fromkeys(images, 2), dict.fromkeys(images, 1), {b"x": 3})
    assert found == {**{(image, image[0] % 2): 3 for image in images}, (b"x", 2): 3}


def test_a_shard_takes_few_rows_of_one_image_however_many_there_are() -> None:
    found = taken_by(*[{b"0": 1} for _ in range(20)])
    assert sorted(found.values()) == [4, 8, 8]
    assert equal_bytes.takers(np.empty(0, "S8"), np.empty(0, np.int32)).tolist() == []
    found = taken_by({b"0": 30}, {b"0": 1}, {b"0": 40}, {b"0": 7})
    assert sorted(found.values()) == [8, 30, 40]
    assert (found[b"0", 0], found[b"0", 2]) == (30, 40)


# The audit


def rewritten(run: Run, shard: int, keep: Any) -> None:
    """Write the moves of a shard anew, with those rows alone that are kept, as a mistake in the search might."""
    search, moves = equal_bytes.search(run), equal_bytes.moves_of(run)
    rows = [tuple(row.values()) for row in moves.read(shard, equal_bytes.MOVES).to_pylist() if keep(row)]
    files = dict(moves.files) | dict([search.write(shard, rows)])
    path_of(search.summary).unlink()
    summaries.write_summary(search.summary, summaries.Summary({}, files))


@pytest.mark.parametrize("lost", ["taken", "given"])
def test_rows_that_no_shard_has_or_that_two_shards_have_refuse_the_run(lake: Lake, lost: str) -> None:
    run = validated(lake)
    count = manifest.read_listing(run).shards
    equal_bytes.settle_moves(run, count, range(count))
    moves = equal_bytes.moves_of(run)
    shard = next(shard for shard in range(count) if getattr(equal_bytes.moved(moves, shard), lost))
    rewritten(run, shard, lambda row: (row["taker"] == shard) != (lost == "taken"))
    local.run_steps(run, ThisProcess(Spies().work))
    with pytest.raises(AuditFailed, match=r"some shards take other rows than others give; start a new run$"):
        register.register(run.layout.run_file, lake.settings)
    assert read.runs(lake.settings) == []


def test_moves_that_are_lost_after_resize_refuse_the_run(lake: Lake) -> None:
    run = lake.ready(Spies(), FIRST)
    path_of(Layout.of_run_file(run.layout.run_file, lake.settings.lake).moves_summary).unlink()
    with pytest.raises(AuditFailed, match="rows came in"):
        register.register(run.layout.run_file, lake.settings)


def test_a_shard_that_no_longer_has_what_it_takes_others_rows_of_is_refused(lake: Lake) -> None:
    run = validated(lake)
    count = manifest.read_listing(run).shards
    equal_bytes.settle_moves(run, count, range(count))
    moves = equal_bytes.moves_of(run)
    shard = next(shard for shard in range(count) if equal_bytes.moved(moves, shard).taken)
    verdicts = shards.read_output(run.layout, VALIDATE, shard)
    assert equal_bytes.to_compute(run, shard, verdicts).num_rows > 0
    with pytest.raises(AuditFailed, match=rf"shard {shard} takes images that it lacks; start a new run$"):
        equal_bytes.to_compute(run, shard, verdicts.slice(0, 0))
