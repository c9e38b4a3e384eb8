"""What the jobs need of Spark, done with lists in this process: what a job does is tested without the seconds of a JVM.

What only a real Spark shows, such as what it pickles and how a task fails, is tested in tests/jobs/test_jobs.py.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any


class Rows:
    """An RDD whose elements are in a list."""

    def __init__(self, elements: Iterable[Any]) -> None:
        self.elements = list(elements)

    def map(self, work: Callable[[Any], Any]) -> Rows:
        return Rows(work(element) for element in self.elements)

    def flatMap(self, work: Callable[[Any], Iterable[Any]]) -> Rows:
        return Rows(result for element in self.elements for result in work(element))

    def union(self, other: Rows) -> Rows:
        return Rows([*self.elements, *other.elements])

    def groupByKey(self) -> Rows:
        groups: dict[Any, list[Any]] = defaultdict(list)
        for key, value in self.elements:
            groups[key].append(value)
        return Rows(groups.items())

    def cogroup(self, other: Rows) -> Rows:
        groups: dict[Any, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
        for side, rows in enumerate((self, other)):
            for key, value in rows.elements:
                groups[key][side].append(value)
        return Rows(groups.items())

    def values(self) -> Rows:
        return Rows(value for _, value in self.elements)

    def collect(self) -> list[Any]:
        return self.elements


class Context:
    """A SparkContext. parallelized: how many elements in how many slices, of each call. stopped: whether it was."""

    defaultParallelism = 2  # Spark's name

    def __init__(self, conf: dict[str, str] | None = None) -> None:
        self.conf = conf or {}
        self.parallelized: list[tuple[int, int]] = []
        self.stopped = False
        runtime = SimpleNamespace(getUptime=lambda: 4000, getName=lambda: f"{os.getpid()}@here")
        factory = SimpleNamespace(getRuntimeMXBean=lambda: runtime)
        management = SimpleNamespace(ManagementFactory=factory)
        self._jvm = SimpleNamespace(java=SimpleNamespace(lang=SimpleNamespace(management=management)))
        self._jsc = SimpleNamespace(stop=lambda: setattr(self, "stopped", True))

    def parallelize(self, elements: Iterable[Any], slices: int) -> Rows:
        rows = Rows(elements)
        self.parallelized.append((len(rows.elements), slices))
        return rows

    def broadcast(self, value: Any) -> Any:
        return SimpleNamespace(value=value)

    def getConf(self) -> dict[str, str]:
        return self.conf
