"""The upper limits of the machine: bare loops of the pipeline's own work, in one process a core.

    inference   the engine on pixels in memory
    decode      JPEG bytes in memory, decoded and resized by Pillow, in no child process
    fused       files in, feature Parquet out: read, decode, resize and infer in one loop, without a check
    library     the file's bytes in memory, decoded by the format's own library alone: libjpeg-turbo, libpng, libwebp

A loop is timed from the moment when all its processes are ready (engine loaded, Pillow warm) to the end of the last
process. Processes take their images in small portions from one common counter, so that none is idle at the end.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.common import decoded, open_engine
from imagefeatures.settings import REPOSITORY

LOOPS = ("inference", "decode", "fused")
PORTION = 8
IN_MEMORY = 256
"""How many photos the loops without files repeat: their pixels (38 MB) exceed a core's caches."""

IN_MEMORY_BYTES = 128 * 2**20
"""The most bytes of such photos; of large photos fewer are repeated."""

READY_SECONDS = 300
"""The longest that a loop's processes load their engine and their photos."""

CODECS = REPOSITORY / ".bench" / "matrix"
"""imagecodecs, which has the libraries that the loop `library` calls."""


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
    try:
        if not _all_ready(processes, barrier):
            raise RuntimeError(f"the {work.loop} loop failed before its start")
        barrier.wait()
        start = time.perf_counter()
        for process in processes:
            process.join()
        seconds = time.perf_counter() - start
        if any(process.exitcode for process in processes):
            raise RuntimeError(f"the {work.loop} loop failed")
        return seconds
    finally:
        for process in processes:
            process.kill()  # those that wait at the barrier for one that has failed


def _all_ready(processes: Sequence[BaseProcess], barrier: Barrier) -> bool:
    """Wait until all processes are at the barrier. Returns False when one has ended, or is not ready in time."""
    deadline = time.monotonic() + READY_SECONDS
    while barrier.n_waiting < len(processes):
        # None passes the barrier before this process does: one that ends here has failed, and the barrier never fills.
        if wait([process.sentinel for process in processes], 0.05) or time.monotonic() > deadline:
            return False
    return True


def _loop(work: Work, number: int, barrier: Barrier, taken: Synchronized[int]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    loops: dict[str, Callable[[Work], Callable[[int], Any]]]
    loops = {"inference": _inference, "decode": _decode, "fused": _fused, "library": _library}
    process_photo = loops[work.loop](work)
    portions = _portions(len(work.files), taken)
    process_photo(0)  # warm-up
    barrier.wait()
    results = [(index, process_photo(index)) for portion in portions for index in portion]
    if work.loop == "fused":
        _write(work, number, results)
    os._exit(0)  # the interpreter's shutdown is not timed


def _inference(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    few = np.stack([decoded(data) for data in _in_memory(work)])
    pixels = np.resize(few, (IN_MEMORY, *few.shape[1:]))  # repeated, where they are fewer
    return lambda index: engine.features(pixels[index % len(pixels)][None])


def _decode(work: Work) -> Callable[[int], None]:
    blobs = _in_memory(work)
    pixels = np.empty((PORTION, 224, 224, 3), np.uint8)

    def decode_photo(index: int) -> None:
        pixels[index % PORTION] = decoded(blobs[index % len(blobs)])

    return decode_photo


def _fused(work: Work) -> Callable[[int], np.ndarray]:
    engine = open_engine(work.model)
    return lambda index: engine.features(decoded(work.files[index].read_bytes())[None])[0]


def _library(work: Work) -> Callable[[int], None]:
    sys.path.append(str(CODECS))
    codecs = importlib.import_module("imagecodecs")
    suffix = work.files[0].suffix
    decode = {".jpg": codecs.jpeg8_decode, ".png": codecs.png_decode, ".webp": codecs.webp_decode}[suffix]
    blobs = _in_memory(work)
    buffers: dict[tuple[int, ...], np.ndarray] = {}  # one for each shape, so that no new memory is filled
    pictures = [buffers.setdefault(picture.shape, picture) for picture in map(decode, blobs)]

    def decode_photo(index: int) -> None:
        decode(blobs[index % len(blobs)], out=pictures[index % len(blobs)])

    return decode_photo


def _in_memory(work: Work) -> list[bytes]:
    blobs: list[bytes] = []
    for file in work.files[:IN_MEMORY]:
        if sum(map(len, blobs)) > IN_MEMORY_BYTES:
            break
        blobs.append(file.read_bytes())
    return blobs


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
