"""An image that kills its decoder is rejected. Every other image keeps its pixels."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import batches, decode_child, decode_process, isolation, run_audit
from imagefeatures.errors import DecoderUnavailable, Rejected
from imagefeatures.limits import Limits
from imagefeatures.local import run_steps
from imagefeatures.pixels import PixelFormat
from imagefeatures.reasons import Reason
from imagefeatures.shards import read_receipts
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps.pixel_files import BATCH_BYTES
from imagefeatures.workers import ThisProcess
from support import poison
from support.shared import PREPROCESSING, ColourEngine, MakeRun, decode

DECODE_SECONDS = 3.0  # long enough that a busy machine does not look like an image that hangs


@pytest.mark.parametrize("shard_images", [1000, 100], ids=["one shard", "ten shards"])
@pytest.mark.parametrize("count", [2, *(pytest.param(count, marks=pytest.mark.long) for count in (1, 10))])
def test_each_poisonous_image_in_a_thousand_is_one_rejection(
    make_run: MakeRun, tmp_path: Path, count: int, shard_images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [*poison.KINDS, *poison.KINDS, *poison.KINDS]
    positions = [(at * 97 + 13) % 1000 for at in range(count)]
    expected = poison.lay_out(tmp_path / "photos" / "grey", 1000, dict(zip(positions, kinds, strict=False)))
    limits = {"decode_seconds": DECODE_SECONDS, "max_rejected": 1}
    run = make_run(tmp_path / "photos", params={"shard_images": shard_images}, limits=limits)
    lives = lives_of_the_child(monkeypatch)
    started = time.monotonic()
    run_steps(run, ThisProcess(StepRunner(ColourEngine(), poison.decoder())))
    seconds = time.monotonic() - started
    audit = run_audit.audit_run(run)  # checks by URI that all thousand are accounted for
    rows = [row for table in audit.rejected for row in table.to_pylist()]
    assert {Path(row["uri"]).name: row["reason"] for row in rows} == expected
    assert audit.registered == 1000 - count
    # What bounds the time: validate gives a shard to its child once, and resize in a few parts; and each gives the rest
    # once more for an image that killed the child. An image that asks for too much memory does not kill it.
    passed = [receipt.passed for receipt in read_receipts(run.layout, "validate")]
    parts = sum(-(-images // (BATCH_BYTES // PixelFormat.of_chain(PREPROCESSING).size)) for images in passed)
    assert len(lives) == len(passed) + parts + sum(reason != "OUT_OF_MEMORY" for reason in expected.values())
    print(f"{count}/1000 poisonous: {audit.registered} vectors, {len(rows)} reasons, {seconds:.1f} s")


def lives_of_the_child(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with each batch, or rest of a batch, given to a decode child."""
    lives: list[int] = []
    watch = isolation._watch
    monkeypatch.setattr(isolation, "_watch", lambda *given: (lives.append(given[2]), watch(*given))[1])
    return lives


def test_the_neighbours_of_a_poisonous_image_have_the_right_pixels(tmp_path: Path) -> None:
    poison.lay_out(tmp_path / "photos", 8, {3: "crash", 5: "hang"})
    blobs = [path.read_bytes() for path in sorted((tmp_path / "photos").iterdir())]
    limits = Limits(decode_seconds=DECODE_SECONDS)
    batch = poison.decoder().run(blobs, limits, PREPROCESSING)
    good = [at for at in range(8) if at not in (3, 5)]
    assert [int(record["state"]) for record in batch.records[good]] == [isolation.DONE] * 6
    for at in good:
        np.testing.assert_array_equal(batch.pixels[at], decode(blobs[at], limits).pixels)
    assert batch.decoded_pixels().shape == (6, 224, 224, 3)


def test_parts_are_batches_of_their_own_in_turn_and_one_that_ends_the_child_costs_itself(tmp_path: Path) -> None:
    poison.lay_out(tmp_path / "photos", 8, {4: "crash"})
    blobs = [path.read_bytes() for path in sorted((tmp_path / "photos").iterdir())]
    states, pixels, originals = [], [], []
    for batch in poison.decoder().run_in_parts(blobs, Limits(), PREPROCESSING, 3):
        states.append(batch.records["state"].tolist())
        pixels.extend(batch.decoded_pixels().copy())  # valid until the next part
        originals.extend(batch.original(at) for at in range(batch.count))
    done, rejected = isolation.DONE, isolation.REJECTED
    assert states == [[done] * 3, [done, rejected, done], [done] * 2]
    assert originals == blobs
    good = [blob for at, blob in enumerate(blobs) if at != 4]
    np.testing.assert_array_equal(pixels, [decode(blob, Limits()).pixels for blob in good])


def test_of_no_images_there_is_one_part(tmp_path: Path) -> None:
    (batch,) = poison.decoder().run_in_parts([], Limits(), PREPROCESSING, 3)
    assert (batch.count, batch.decoded_pixels().shape) == (0, (0, 224, 224, 3))


def test_an_image_that_hangs_is_ended_after_its_limit_and_not_before(tmp_path: Path) -> None:
    poison.lay_out(tmp_path / "photos", 2, {1: "hang"})
    blobs = [path.read_bytes() for path in sorted((tmp_path / "photos").iterdir())]
    poison.decoder().run(blobs[:1], Limits(), PREPROCESSING)  # starts the child
    started = time.monotonic()
    batch = poison.decoder().run(blobs, Limits(decode_seconds=1), PREPROCESSING)
    seconds = time.monotonic() - started
    print(f"a hang with a limit of 1 s took {seconds:.2f} s")
    assert seconds >= 1
    assert isolation.rejection(batch.records[1]).reason == "TIMEOUT"


class Stuck:
    """A child that never answers, and a clock that advances only while its parent waits."""

    ready = True

    def __init__(self) -> None:
        self.now = 0.0
        self.killed_at: float | None = None

    def monotonic(self) -> float:
        return self.now

    def kill(self) -> None:
        self.killed_at = self.now

    def answer(self) -> bytes | None:
        if self.killed_at is not None:
            return b""
        self.now += decode_process.POLL_SECONDS
        return None

    def cause_of_death(self) -> Rejected:
        return decode_process.cause_of_death_by(-signal.SIGKILL)


@pytest.mark.parametrize("limit", [0.5, 10, 60])
def test_a_timeout_comes_within_a_second_of_the_limit(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(isolation, "time", stuck)
    with shared_batch(batches.AT_WORK) as batch:
        death = isolation._watch(stuck, batch, 0, Limits(decode_seconds=limit))
    assert (death.why.reason, death.late) == ("TIMEOUT", 0)
    assert limit < stuck.killed_at <= limit + 1


class Stopped(Stuck):
    """The same, and at each of its first looks its parent has been stopped for an hour. answers: what comes then."""

    def __init__(self, looks: int, *answers: bytes) -> None:
        super().__init__()
        self._looks, self._answers = looks, list(answers)

    def answer(self) -> bytes | None:
        if self._looks:
            self._looks -= 1
            self.now += 3600
            return None
        return self._answers.pop(0) if self._answers else super().answer()


@pytest.mark.parametrize("looks", [1, 5])
def test_time_in_which_the_parent_was_stopped_is_no_images(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Stopped(looks, decode_child.FINISHED)
    monkeypatch.setattr(isolation, "time", stopped)
    with shared_batch(batches.AT_WORK) as batch:
        assert isolation._watch(stopped, batch, 0, Limits(decode_seconds=10)) is None
    starting = Stopped(looks, decode_child.READY, decode_child.FINISHED)
    starting.ready = False
    monkeypatch.setattr(isolation, "time", starting)
    with shared_batch(batches.WAITING) as batch:
        assert isolation._watch(starting, batch, 0, Limits(decode_seconds=10)) is None


def test_a_hang_is_ended_after_its_parent_was_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Stopped(2)  # at the first look its image begins
    monkeypatch.setattr(isolation, "time", stopped)
    with shared_batch(batches.AT_WORK) as batch:
        death = isolation._watch(stopped, batch, 0, Limits(decode_seconds=10))
    assert (death.why.reason, death.late) == ("TIMEOUT", 0)
    assert 7200 + 8 < stopped.killed_at <= 7200 + 11


def test_a_child_that_never_starts_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    stuck.ready = False
    monkeypatch.setattr(isolation, "time", stuck)
    with shared_batch(batches.WAITING) as batch, pytest.raises(DecoderUnavailable, match="has begun within 60 s"):
        isolation._watch(stuck, batch, 0, Limits())


LATE = isolation.Death(Rejected(Reason.TIMEOUT, "late"), 1)
CRASH = isolation.Death(Rejected(Reason.DECODER_CRASHED, "crashed"))


@pytest.mark.parametrize(
    ("states", "death", "left_at", "rejected"),
    [
        ("done at_work waiting", LATE, 2, [1]),
        ("done done at_work", LATE, 2, []),  # the image was finished just before the kill
        ("done done waiting", LATE, 2, []),
        ("done done", LATE, 2, []),
        ("done at_work waiting", CRASH, 2, [1]),
        ("done done", CRASH, 2, []),  # no image is left to blame
        ("done waiting waiting", CRASH, 1, []),  # it died between two images
    ],
)
def test_only_the_image_at_which_the_child_died_is_rejected(
    states: str, death: isolation.Death, left_at: int, rejected: list[int]
) -> None:
    with shared_batch(*(getattr(batches, state.upper()) for state in states.split())) as batch:
        assert isolation._settle(batch, 0, batch.written.copy(), death, Limits()) == left_at
        assert [at for at, state in enumerate(batch.records["state"]) if state == isolation.REJECTED] == rejected


def test_a_death_before_the_first_image_is_no_images_fault() -> None:
    with (
        shared_batch(batches.WAITING) as batch,
        pytest.raises(decode_process.ProcessLost, match="before its first image"),
    ):
        isolation._settle(batch, 0, batch.written.copy(), CRASH, Limits())


@contextlib.contextmanager
def shared_batch(*states: int) -> Iterator[batches.Batch]:
    buffer = batches.SharedBuffer.make(len(states), 1)
    batch = batches.Batch(buffer, len(states), (1,))
    for index, state in enumerate(states):
        batch.written[index] = (state, 1, 1, b"PNG", b"RGB", b"", b"")
    yield batch
    buffer.close()


def test_a_child_killed_by_the_system_means_out_of_memory() -> None:
    assert decode_process.cause_of_death_by(-signal.SIGKILL).reason == "OUT_OF_MEMORY"
    assert decode_process.cause_of_death_by(-signal.SIGSEGV).detail == "the decoder crashed (SIGSEGV)"
    assert decode_process.cause_of_death_by(7).detail == "the decoder crashed (exit status 7)"
    assert (
        decode_process.cause_of_death_by(-37).detail == "the decoder crashed (signal 37)"
    )  # a real-time signal: no name
