"""An image that kills its decoder is rejected. Every other image keeps its pixels."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pebble import ProcessExpired

from imagefeatures import batches, images, isolation, manifest
from imagefeatures.errors import DecoderUnavailable, Rejected
from imagefeatures.limits import Limits
from imagefeatures.local import run_steps
from imagefeatures.reasons import Reason
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support import poison
from support.photos import jpeg
from support.shared import PREPROCESSING, ColourEngine, MakeRun, decode

DECODE_SECONDS = 3.0  # long enough that a busy machine does not look like an image that hangs


@pytest.mark.parametrize("shard_images", [1000, 100], ids=["one shard", "ten shards"])
@pytest.mark.parametrize("count", [1, 2, 10])
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
    shards = manifest.read_listing(run).shards
    audit = register.audit_run(run)  # checks by URI that all thousand are accounted for
    rows = [row for table in audit.rejected for row in table.to_pylist()]
    assert {Path(row["uri"]).name: row["reason"] for row in rows} == expected
    assert audit.registered == 1000 - count
    # What bounds the time: validate and resize each give a shard to their child once, and the rest of the shard once
    # more for each image that killed the child. An image that asks for too much memory does not kill it.
    assert len(lives) == 2 * shards + sum(reason != "OUT_OF_MEMORY" for reason in expected.values())
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
    """A child that never finishes its first image, and a clock that advances only in `result`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.killed_at: float | None = None

    def monotonic(self) -> float:
        return self.now

    def kill(self, pid: int, how: int) -> None:
        self.killed_at = self.now

    def result(self, timeout: float) -> None:
        if self.killed_at is not None:
            raise ProcessExpired("killed", -signal.SIGKILL)
        self.now += timeout
        raise isolation.NotYet


@pytest.mark.parametrize("limit", [0.5, 10, 60])
def test_a_timeout_comes_within_a_second_of_the_limit(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(isolation, "time", stuck)
    monkeypatch.setattr(isolation.os, "kill", stuck.kill)
    with shared_batch(batches.AT_WORK) as batch:
        batch.pid[0] = 1
        death = isolation._watch(stuck, batch, 0, Limits(decode_seconds=limit))
    assert (death.why.reason, death.late) == ("TIMEOUT", 0)
    assert limit < stuck.killed_at <= limit + 1


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
    ],
)
def test_only_the_image_at_which_the_child_died_is_rejected(
    states: str, death: isolation.Death, left_at: int, rejected: list[int]
) -> None:
    with shared_batch(*(getattr(batches, state.upper()) for state in states.split())) as batch:
        assert isolation._blame(batch, 0, death) == left_at
        assert [at for at, state in enumerate(batch.records["state"]) if state == isolation.REJECTED] == rejected


@contextlib.contextmanager
def shared_batch(*states: int) -> Iterator[batches.Batch]:
    buffer = batches.SharedBuffer.make(len(states), 1)
    batch = batches.Batch(buffer, len(states), (1,))
    batch.records["state"] = states
    yield batch
    buffer.close()


def test_a_child_killed_by_the_system_means_out_of_memory() -> None:
    assert isolation._cause_of_death(-signal.SIGKILL).reason == "OUT_OF_MEMORY"
    assert isolation._cause_of_death(-signal.SIGSEGV).detail == "the decoder crashed (SIGSEGV)"
    assert isolation._cause_of_death(7).detail == "the decoder crashed (exit status 7)"


def _cannot_be_made(data: bytes, limits: Limits) -> images.Header:
    raise AssertionError("never called")


def test_a_child_that_cannot_start_is_an_error_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_prepare_child", _exit_at_once)
    monkeypatch.setattr(isolation, "START_SECONDS", 3.0)
    stillborn = isolation.Isolated(_cannot_be_made)
    with pytest.raises(DecoderUnavailable):
        stillborn.run([b"x"], Limits())
    stillborn.stop()


def _exit_at_once(parent: int) -> None:
    os._exit(3)


@pytest.mark.parametrize("seconds", [0, 1], ids=["unnoticed", "noticed"])
def test_a_child_that_dies_between_two_batches_costs_nothing(seconds: float) -> None:
    child = isolation.Isolated(images.decode)
    batch = child.run([jpeg(1)], Limits(), PREPROCESSING)
    pid, pixels = int(batch.pid[0]), batch.pixels[0].copy()
    os.kill(pid, signal.SIGKILL)
    time.sleep(seconds)  # the pool checks its child ten times a second
    second = child.run([jpeg(1), jpeg(2)], Limits(), PREPROCESSING)
    assert list(second.records["state"]) == [isolation.DONE, isolation.DONE]
    assert second.pid[0] != pid
    assert (second.pixels[0] == pixels).all()
    child.stop()


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from imagefeatures import isolation\n"
        "from imagefeatures.datasets import Limits\n"
        "if __name__ == '__main__':\n"
        "    print(int(isolation.inspector().run([b'x'], Limits()).pid[0]), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    child = int(parent.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_an_empty_batch_starts_nothing() -> None:
    batch = isolation.Isolated(images.decode).run([], Limits(), PREPROCESSING)
    assert batch.decoded_pixels().shape == (0, 224, 224, 3)


def _mistaken(data: bytes, limits: Limits) -> images.Header:
    return undefined_name  # noqa: F821


def test_a_bug_in_our_code_stops_the_run_and_is_no_rejection() -> None:
    child = isolation.Isolated(_mistaken)
    with pytest.raises(NameError, match="undefined_name"):
        child.run([b"x"], Limits())
    child.stop()
