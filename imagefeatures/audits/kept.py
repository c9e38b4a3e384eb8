"""Audits of single partitions for people who look at them: each computed once for a run, in a process of its own.

The process is `imagefeatures audit`, with the lowest priority and a bound for its seconds and its memory; there is one
at a time. What it writes is kept in the cache folder, that of the latest runs that were looked at.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from imagefeatures import spreadsheets
from imagefeatures.forget import deny
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings

log = logging.getLogger(__name__)

MOST_PHOTOS = 10_000
"""A partition of more photos is not audited for a page. Each photo is compared with each other one."""

SECONDS = 600.0
"""An audit that takes longer is ended."""

MEMORY_BYTES = 4 << 30
"""The most address space of its process."""

KEPT = 20
"""So many audits are kept; the one that was looked at longest ago goes first. One of 10,000 photos has up to 15 MB."""

ABANDONED_SECONDS = 2 * SECONDS
"""What an audit has begun so long ago and not ended is left of one whose server was killed, and is removed."""

AGAIN_SECONDS = 300.0
"""After a failure an audit is not tried again for so long, however often somebody looks."""

TABLES = ("labels", "duplicates")
"""The tables, each a CSV file of this name: docs/audits.md says what they hold."""

FACTS = "facts.json"
FORMAT = 2
"""Of the tables: those of a version before have no apostrophe before a text that a spreadsheet takes for a formula."""

SAID = "said.txt"
DRAFT = "."
"""What the name of a folder begins with in which an audit is under way."""


@dataclass(frozen=True)
class Audit:
    """A finished audit. rows: how many each of TABLES has."""

    folder: Path
    rows: dict[str, int]

    def file(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def first(self, table: str, start: int, count: int) -> list[dict[str, str]]:
        """So many rows of a table from `start` on. What comes before them is read over."""
        with self.file(table).open(encoding="utf-8", newline="") as lines:
            rows = islice(csv.DictReader(lines), start, start + count)
            return [{name: spreadsheets.text(written) for name, written in row.items()} for row in rows]


@dataclass
class UnderWay:
    """An audit that is being computed.

    layout: of the run whose partition it is of. forgotten: what had been forgotten of the lake.
    """

    layout: Layout
    process: subprocess.Popen[bytes]
    draft: Path
    forgotten: str
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True)
class Waits:
    """An audit that has not begun, or has failed. why: in words."""

    why: str


def remove(cache: Path, partitions: Iterable[tuple[str, str]]) -> int:
    """Delete the audits of these (dataset, partition), finished or not. Returns how many there were."""
    found = [folder for dataset, key in partitions for folder in cache.glob(f"audits/{dataset}/{key}/*")]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def older_than(cache: Path, moment: float) -> list[Path]:
    """The folders of kept audits that nobody has looked at since. moment: in seconds since 1970."""
    folders = [facts.parent for facts in cache.glob(f"audits/*/*/*/{FACTS}")]
    return [folder for folder in folders if folder.stat().st_mtime < moment]


class KeptAudits:
    """The audits of a cache folder, for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.cache / "audits"
        self._lock = threading.Lock()
        self._under_way: UnderWay | None = None
        self._failed: dict[Layout, float] = {}

    def of(self, layout: Layout) -> Audit | UnderWay | Waits:
        """The audit of a partition, as far as it is; begins it where nothing else is under way. Does not wait."""
        folder = self._folder / layout.dataset / layout.partition / layout.run_id
        if folder.is_dir():
            # What another thread or process removes, a power cut has cut off, names a forgotten image, or has another
            # format is made anew.
            with contextlib.suppress(OSError, ValueError, KeyError):
                facts = json.loads((folder / FACTS).read_bytes())
                if facts["forgotten"] == deny.state(layout.lake) and facts["format"] == FORMAT:
                    folder.touch()
                    return Audit(folder, facts["rows"])
            shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            if (now := self._under_way) is not None:
                return now if now.layout == layout else Waits("Another audit is under way; this one begins after it.")
            if time.monotonic() - self._failed.get(layout, -AGAIN_SECONDS) < AGAIN_SECONDS:
                minutes = AGAIN_SECONDS / 60
                return Waits(f"The audit has failed. It can be tried again {minutes:.0f} minutes after that.")
            try:
                self._under_way = self._begin(layout, folder)
            except OSError as error:
                log.warning("audits are not kept in %s: %s", self._folder, error)
                return Waits("Audits cannot be kept: IMAGEFEATURES_CACHE names no folder that can be written.")
            return self._under_way

    def _begin(self, layout: Layout, folder: Path) -> UnderWay:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self._folder)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder.parent))
        forgotten = deny.state(layout.lake)
        command = [sys.executable, "-m", "imagefeatures.cli", "audit", layout.dataset]
        command += [f"--partition={layout.partition}", f"--to={draft}"]
        with (draft / SAID).open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own, names of runs
                command,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        under_way = UnderWay(layout, process, draft, forgotten)
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, math.ceil(SECONDS))):
                resource.prlimit(process.pid, limit, (most, most))
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        threading.Thread(
            target=self._finish, args=(under_way, folder), name="image features audit", daemon=True
        ).start()
        return under_way

    def _finish(self, audit: UnderWay, folder: Path) -> None:
        """Wait for the process, and keep what it has written."""
        try:
            try:
                status = audit.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                audit.process.kill()
                status = audit.process.wait()
            if status:
                said = (audit.draft / SAID).read_text("utf-8", "replace").strip().rpartition("\n")[2]
                raise RuntimeError(f"exit status {status}, {said or 'and nothing was said'}")
            rows = {}
            for table in TABLES:
                with (audit.draft / f"{table}.csv").open(encoding="utf-8", newline="") as lines:
                    rows[table] = sum(1 for _ in csv.DictReader(lines))
            (audit.draft / SAID).unlink()
            (audit.draft / FACTS).write_text(json.dumps({"format": FORMAT, "rows": rows, "forgotten": audit.forgotten}))
            audit.draft.rename(folder)
            kept = sorted(self._folder.glob(f"*/*/*/{FACTS}"), key=lambda facts: facts.parent.stat().st_mtime)
            for facts in kept[:-KEPT]:
                shutil.rmtree(facts.parent, ignore_errors=True)
        except Exception as error:  # whatever it is, those who look must learn of it
            log.warning("the audit of %s %s is not kept: %s", audit.layout.dataset, audit.layout.partition, error)
            self._failed[audit.layout] = time.monotonic()
        finally:
            shutil.rmtree(audit.draft, ignore_errors=True)
            with self._lock:
                self._under_way = None


def _remove_abandoned(folder: Path) -> None:
    """Delete what audits have left that were cut off with their server: nobody else would."""
    for draft in folder.glob(f"*/*/{DRAFT}*"):
        with contextlib.suppress(FileNotFoundError):  # another process of the server has removed it
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)
