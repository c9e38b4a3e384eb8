"""The corpus run's answer: a table of what became of the files, and the checks that it must pass, in Markdown."""

from __future__ import annotations

import os
import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from imagefeatures import isolation
from imagefeatures.reasons import Reason
from imagefeatures.steps import SPARK_STEPS
from pipeline import Outcome

PHOTOS = "good-photos"
LEAST_FILES = 1500
OF_THE_RUN = {"run_id", "partition_key"}  # columns that differ between two runs of the same bytes

# What the libraries' own authors say of whole folders, by their names.
VALID = re.compile(r"/libpng/contrib/(pngsuite|testpngs)/(?!crashers/).*\.png$")
# Of one of the crashers only metadata are broken: its chunks without content touch no pixel.
BROKEN = re.compile(
    r"/libpng/contrib/testpngs/crashers/(?!empty_ancillary_chunks\.png$)|/gdk-pixbuf/tests/test-images/fail/"
)


@dataclass(frozen=True)
class Check:
    """what: what was looked at. found, wanted: for people. held: whether it is as it must be."""

    what: str
    found: str
    wanted: str
    held: bool


def checks(mixed: Outcome, alone: Outcome, listed: Mapping[str, str], kills: int) -> list[Check]:
    """listed: URI to corpus, of every file. kills: processes that the kernel killed for memory meanwhile."""
    photos = {uri for uri, corpus in listed.items() if corpus == PHOTOS}
    hostile = len(listed) - len(photos)
    once = Counter(list(listed))
    unaccounted = ((mixed.accounted - once) + (once - mixed.accounted)).total()
    differing = [uri for uri in photos if _lasting(mixed, uri) is None or _lasting(mixed, uri) != _lasting(alone, uri)]
    valid, broken = ({uri for uri in listed if known.search(uri)} for known in (VALID, BROKEN))
    taken = broken & mixed.features.keys()
    lost = valid - mixed.features.keys()
    jobs = [*mixed.steps, *alone.steps]
    failed = sum(step.status != 0 for step in jobs) + 2 * len(SPARK_STEPS) - len(jobs)
    tasks = sum((step.tasks for step in jobs), Counter())
    peak, bound = max(step.peak for step in jobs), isolation.MEMORY_BYTES
    return [
        Check("hostile files", f"{hostile:,}", f"at least {LEAST_FILES:,}", hostile >= LEAST_FILES),
        _none("files that are not in exactly one table, once", unaccounted, len(listed)),
        _none("good photos whose row differs from the run without hostile files", len(differing), len(photos)),
        _none("PNG files valid by libpng's folders, and rejected", len(lost), len(valid)),
        _none("files broken by libpng's and gdk-pixbuf's folders, and published", len(taken), len(broken)),
        _none("Spark jobs that failed", failed, 2 * len(SPARK_STEPS)),
        _none("Spark tasks that failed", tasks.total() - tasks["Success"], tasks.total()),
        Check("processes that the kernel killed for memory", f"{kills}", "0", kills == 0),
        Check(
            "peak resident memory of a decode process",
            _mebibytes(peak),
            f"below {_mebibytes(bound)}",
            0 < peak < bound,
        ),
    ]


def judged(found: Iterable[Check]) -> str:
    """The checks as a table."""
    rows = [[check.what, check.found, check.wanted, "yes" if check.held else "**no**"] for check in found]
    return _markdown(["check", "found", "must be", "held"], rows, numbers=range(1, 3))


def table(mixed: Outcome, listed: Mapping[str, str], archives: Mapping[str, Path]) -> str:
    """What became of the files: a row for each corpus, a column for each reason."""
    files = Counter(listed.values())
    published = Counter(listed[uri] for uri in mixed.features)
    rejected = Counter((listed[str(row["uri"])], str(row["reason"])) for row in mixed.quarantine)
    reasons = [reason for reason in Reason if any(found == reason for _, found in rejected)]
    source = {PHOTOS: "the demo's photos"} | {name: f"`{path.name}`" for name, path in archives.items()}
    rows = [
        [corpus, source[corpus], files[corpus], published[corpus], *(rejected[corpus, reason] for reason in reasons)]
        for corpus in sorted(files, key=lambda corpus: (corpus == PHOTOS, -files[corpus]))
    ]
    sums = [sum(column) for column in zip(*(row[2:] for row in rows), strict=True)]
    head = ["corpus", "taken from", "files", "features", *(f"`{reason}`" for reason in reasons)]
    return _markdown(head, [*rows, ["**all**", "", *sums]], numbers=range(2, len(head)))


def steps(mixed: Outcome) -> str:
    """What the steps of the mixed run took. seconds: with Spark's start."""
    rows = [
        [step.name, f"{step.seconds:.1f}", step.tasks.total(), step.decoders or "", _mebibytes(step.peak)]
        for step in mixed.steps
    ]
    head = ["step", "seconds", "tasks", "decode processes", "peak resident memory of one"]
    return _markdown(head, rows, numbers=range(1, 5))


def summary(mixed: Outcome, files: int) -> str:
    """How long it took, on what."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    packages = (("Pillow", "pillow"), ("PySpark", "pyspark"), ("OpenVINO", "openvino"))
    software = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(of)}" for name, of in packages)])
    machine = f"{os.cpu_count()} cores, {gigabytes:.0f} GiB, {system}"
    took = f"{files:,} files from plan to publication in {mixed.seconds:.0f} s"
    return f"{took}; {machine}; {software}; {time.strftime('%F')}."


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size else ""


def _none(what: str, found: int, of: int) -> Check:
    return Check(what, f"{found} of {of:,}", "0", found == 0 < of)


def _lasting(outcome: Outcome, uri: str) -> dict[str, object] | None:
    """A row's columns that must be the same in every run of the same bytes; the vector as bytes, bit for bit."""
    row = outcome.features.get(uri)
    if row is None:
        return None
    vector = pa.array(row["features"], pa.float32()).buffers()[1].to_pybytes()
    return {name: value for name, value in row.items() if name not in OF_THE_RUN} | {"features": vector}


def _markdown(head: list[str], rows: Iterable[list[object]], numbers: range) -> str:
    rule = ["---:" if at in numbers else "---" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, rule, *rows])
