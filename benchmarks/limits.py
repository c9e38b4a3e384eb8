"""The upper limits of the machine: bare loops of the pipeline's own work, in one process a core.

    inference   the engine on pixels in memory
    decode      JPEG bytes in memory, decoded and resized by Pillow, in no child process
    fused       files in, feature Parquet out: read, decode, resize and infer in one loop, without a check

A loop is timed from the moment when all its processes are ready (engine loaded, Pillow warm) to the end of the last
process. Processes take their images in small portions from one common counter, so that none is idle at the end.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.common import decoded, open_engine

LOOPS = ("inference", "decode", "fused")
PORTION = 8
IN_MEMORY = 256
"""How many photos the loops without files repeat: their pixels (38 MB) exceed a core's caches."""


@dataclass(frozen=True)
class Work:
    """One loop's work. files: all photos. model: the engine's folder. out: folder for the fused loop's Parquet."""

    loop: str
    files: list[Path]
    model: Path
    out: Path


def run(work: Work, cores: int) -> float:
    """Seconds of the loop over all files in `cores` processes. Raises RuntimeError when a process fails."""
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
    process_photo: Callable[[int], Any] = {"inference": _inference, "decode": _decode, "fused": _fused}[work.loop](work)
    portions = _portions(len(work.files), taken)
    process_photo(0)  # warm-up
    barrier.wait()
    results = [(index, process_photo(index)) for portion in portions for index in portion]
    if work.loop == "fused":
        _write(work, number, results)
    os._exit(0)  # the interpreter's shutdown is not timed


def _inference(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    pixels = np.stack([decoded(file.read_bytes()) for file in work.files[:IN_MEMORY]])
    return lambda index: engine.features(pixels[index % len(pixels)][None])


def _decode(work: Work) -> Callable[[int], None]:
    blobs = [file.read_bytes() for file in work.files[:IN_MEMORY]]
    pixels = np.empty((PORTION, 224, 224, 3), np.uint8)

    def decode_photo(index: int) -> None:
        pixels[index % PORTION] = decoded(blobs[index % len(blobs)])

    return decode_photo


def _fused(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    return lambda index: engine.features(decoded(work.files[index].read_bytes())[None])[0]


def _portions(count: int, taken: Synchronized[int]) -> Iterator[range]:
    while True:
        with taken.get_lock():
            start = taken.value
            taken.value = start + PORTION
        if start >= count:
            return
        yield range(start, min(start + PORTION, count))


def _write(work: Work, number: int, results: list[tuple[int, np.ndarray]]) -> None:
    paths = pa.array([str(work.files[index]) for index, _ in results])
    features = pa.array([vector for _, vector in results], pa.list_(pa.float32()))
    table = pa.table({"path": paths, "features": features})
    pq.write_table(table, work.out / f"part-{number}.parquet", compression="zstd")
