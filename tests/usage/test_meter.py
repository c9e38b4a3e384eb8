"""Core time and memory of a piece of work, with the children that work for it."""

from __future__ import annotations

import hashlib
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from imagefeatures.isolation import Isolated
from imagefeatures.limits import Limits
from imagefeatures.usage import meter, processes
from imagefeatures.usage.meter import Meter, Usage
from imagefeatures.usage.traffic import Traffic
from support.alone import ran_alone
from support.photos import jpeg

MB = 10**6
BUSY = "import time\nwhile time.process_time() < {seconds}: pass\nprint(flush=True)\ninput()"


@pytest.fixture
def busy_child() -> Iterator[subprocess.Popen[str]]:
    """A child that has used 0.3 s of a core, and waits."""
    code = BUSY.format(seconds=0.3)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        child.stdout.readline()
        yield child
        child.kill()


def test_waiting_takes_no_core_and_work_does(request: pytest.FixtureRequest) -> None:
    if ran_alone(request):
        return
    waited, worked = Meter(), None
    time.sleep(0.2)
    assert waited.usage().core_seconds < 0.1
    worked = Meter()
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    assert 0.19 < worked.usage().core_seconds < 0.5


def test_every_thread_is_counted() -> None:
    data = bytes(32 * MB)

    def work(_: int) -> float:
        began = time.thread_time()
        hashlib.sha256(data).digest()  # outside of Python's lock
        return time.thread_time() - began

    measured, began = Meter(), time.thread_time()
    with ThreadPoolExecutor(2) as pool:
        of_threads = sum(pool.map(work, range(8)))
    assert of_threads > time.thread_time() - began  # this thread has only waited
    assert measured.usage().core_seconds >= of_threads * 0.99


def test_a_child_counts_while_it_lives_and_not_again_when_it_ends(busy_child: subprocess.Popen[str]) -> None:
    before = processes.core_seconds()
    processes.watch(busy_child.pid)
    alive = processes.core_seconds() - before
    assert 0.28 < alive < 1.0
    busy_child.kill()
    busy_child.wait()
    ended = processes.core_seconds() - before
    processes.unwatch(busy_child.pid)
    assert alive - 0.02 <= ended < alive + 0.2  # a unit of /proc is 0.01 s
    assert processes.core_seconds_of(busy_child.pid) == 0.0


def test_the_decode_process_of_a_shard_is_counted_and_a_crash_counts_once() -> None:
    decoder = Isolated(_burn)
    try:
        measured = Meter()
        decoder.run([jpeg(1)], Limits())
        first = measured.usage()
        assert 0.4 < first.core_seconds < 5
        assert first.peak_memory
        second = Meter()
        assert second.usage().core_seconds < 0.1
        decoder.stop()
        assert second.usage().core_seconds < 0.2  # what the child had used before is not counted anew
    finally:
        decoder.stop()


def _burn(_data: bytes, _limits: Limits) -> object:
    began = time.process_time()
    while time.process_time() - began < 0.4:
        pass
    raise ValueError("done")


def test_the_peak_of_memory_is_that_of_the_piece_of_work() -> None:
    at_rest = Meter().usage().peak_memory
    large = Meter()
    with mmap.mmap(-1, 200 * MB) as held:  # new memory, and none that this process has freed before
        for start in range(0, 200 * MB, mmap.PAGESIZE):
            held[start] = 1
    peak = large.usage().peak_memory
    later = Meter().usage().peak_memory
    assert at_rest and peak and later
    assert peak > at_rest + 190 * MB
    assert later < at_rest + 100 * MB


def test_a_process_that_only_works_counts_from_its_birth_and_between_its_pieces() -> None:
    code = """
import time
from imagefeatures.usage import meter, traffic
def busy(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until: pass
busy(0.3)
traffic.read(5)
meter.count_everything()
first = meter.Meter()
print(first.usage().core_seconds, first.usage().core_seconds)
busy(0.2)
meter.count_everything()
traffic.read(7)
second = meter.Meter().usage()
print(second.core_seconds, second.traffic.bytes_read)
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    (first, _), (second, read) = (map(float, line.split()) for line in printed.splitlines())
    assert first >= 0.3
    assert 0.2 <= second < 0.3
    assert read == 7


def test_a_usage_survives_json_and_an_earlier_version_has_none() -> None:
    usage = Usage(1.5, None, Traffic(1, 2, 3, 4, 5))
    assert Usage.of_json(json.loads(json.dumps(usage.as_json()))) == usage
    assert Usage.of_json(None) is None
    with pytest.raises((TypeError, KeyError)):
        Usage.of_json({"core_seconds": 1})


def test_a_total_is_not_known_where_a_part_is_not() -> None:
    one, two = Usage(1.0, 100, Traffic(bytes_read=1)), Usage(2.0, 300, Traffic(bytes_read=10))
    assert meter.total([one, two]) == Usage(3.0, 300, Traffic(bytes_read=11))
    assert meter.total([one, Usage(2.0, None, Traffic())]) == Usage(3.0, None, Traffic(bytes_read=1))
    assert meter.total([one, None]) is None
    assert meter.total([]) is None


def test_a_piece_of_work_has_what_came_between_two_readings_and_never_less_than_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = iter([meter._Reading(at, Traffic()) for at in (5.0, 5.25, 5.25, 4.75)])
    monkeypatch.setattr(meter, "_read", lambda: next(readings))
    monkeypatch.setattr(meter, "_last_reading", None)  # another test may have counted everything
    assert [Meter().usage().core_seconds for _ in range(2)] == [0.25, 0.0]  # the second time a child has gone


def test_what_was_read_before_stays_where_everything_is_counted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    before = meter._Reading(7.0, Traffic(bytes_read=1))
    monkeypatch.setattr(meter, "_last_reading", before)
    meter.count_everything()
    assert meter._last_reading is before
