"""What the machine can do at most: bare loops, one process a core, the loops of our own steps without all around them.

inference   the engine over pixels that lie in memory
decode      JPEG bytes that lie in memory, decoded and resized by Pillow, in no child process
fused       files in, feature Parquet out: read, decode, resize and infer in one loop, nothing checked

A loop is timed from the moment when all its processes stand ready (engine loaded, Pillow warm) to the end of the
last. Processes take their images in small portions from one common counter, so that none idles at the end.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.common import decoded, open_engine

LOOPS = ("inference", "decode", "fused")
PORTION = 8
IN_MEMORY = 256
"""Photos that the loops without files go over again and again: more pixels (38 MB) than a core's caches hold."""


@dataclass(frozen=True)
class Work:
    """One loop's work. files: of all photos; out: folder for the fused loop's Parquet files."""

    loop: str
    files: list[Path]
    model: Path
    out: Path


def run(work: Work, cores: int) -> float:
    """Seconds that the loop takes over all files on that many processes."""
    work.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    barrier, taken = context.Barrier(cores + 1), context.Value("q", 0)
    processes = [context.Process(target=_loop, args=(work, number, barrier, taken)) for number in range(cores)]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - start
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"the {work.loop} loop failed")
    return seconds


def _loop(work: Work, number: int, barrier: Barrier, taken: Synchronized[int]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    one = {"inference": _inference, "decode": _decode, "fused": _fused}[work.loop](work)
    portions = _portions(len(work.files), taken)
    one(0)  # warm
    barrier.wait()
    found = [(at, one(at)) for portion in portions for at in portion]
    if work.loop == "fused":
        _write(work, number, found)
    os._exit(0)  # nothing of the interpreter's own end is timed


def _inference(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    pixels = np.stack([decoded(file.read_bytes()) for file in work.files[:IN_MEMORY]])
    return lambda at: engine.features(pixels[at % len(pixels)][None])


def _decode(work: Work) -> Callable[[int], None]:
    datas = [file.read_bytes() for file in work.files[:IN_MEMORY]]
    room = np.empty((PORTION, 224, 224, 3), np.uint8)

    def one(at: int) -> None:
        room[at % PORTION] = decoded(datas[at % len(datas)])

    return one


def _fused(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    return partial(_features_of, engine, work.files)


def _features_of(engine, files: list[Path], at: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    return engine.features(decoded(files[at].read_bytes())[None])[0]


def _portions(count: int, taken: Synchronized[int]) -> Iterator[range]:
    while True:
        with taken.get_lock():
            at = taken.value
            taken.value = at + PORTION
        if at >= count:
            return
        yield range(at, min(at + PORTION, count))


def _write(work: Work, number: int, found: list[tuple[int, np.ndarray]]) -> None:
    paths = pa.array([str(work.files[at]) for at, _ in found])
    features = pa.array([vector for _, vector in found], pa.list_(pa.float32()))
    table = pa.table({"path": paths, "features": features})
    pq.write_table(table, work.out / f"part-{number}.parquet", compression="zstd")
