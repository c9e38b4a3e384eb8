"""Audits of published partitions for people who look at them: each computed once for the runs, in a process of its own.

The process is `imagefeatures audit` (`imagefeatures.background`). What it writes is kept in the cache folder, that of
the latest ones that were looked at:

<cache>/audits/<dataset>/<partition>/<run_id>      of one partition
<cache>/audits/<dataset>/_several/<digest>         of several, by the digest of the partitions and their runs
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from imagefeatures import spreadsheets
from imagefeatures.background import Background, Bounds, UnderWay, Waits
from imagefeatures.forget import deny
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings

csv.field_size_limit(2**31 - 1)  # a label may be longer than Python's usual 128 kB: the file is our own

MOST_PHOTOS = 10_000
"""Partitions with more photos are not audited for a page. Each photo is compared with each other one."""

SECONDS = 600.0
"""An audit that takes longer is ended."""

MEMORY_BYTES = 4 << 30
"""The most address space of its process."""

KEPT = 20
"""So many audits are kept; the one that was looked at longest ago goes first. One of 10,000 photos has up to 15 MB."""

ABANDONED_SECONDS = 2 * SECONDS
"""What an audit has begun so long ago and not ended is left of one whose server was killed, and is removed."""

TABLES = ("labels", "duplicates")
"""The tables, each a CSV and a Parquet file of this name: docs/audits.md says what they hold."""

FACTS = "facts.json"
FORMAT = 3
"""Of the tables: those of version 2 are not in Parquet, and those of version 1 have no apostrophe before a text that a
spreadsheet takes for a formula."""

SEVERAL = "_several"
"""The folder of the audits of several partitions: no partition has such a key."""

DRAFT = "."
"""What the name of a folder begins with in which an audit is under way."""


@dataclass(frozen=True)
class Audit:
    """A finished audit. rows: how many each of TABLES has."""

    folder: Path
    rows: dict[str, int]

    def file(self, table: str, kind: str = "csv") -> Path:
        """kind: csv or parquet."""
        return self.folder / f"{table}.{kind}"

    def first(self, table: str, start: int, count: int) -> list[dict[str, str]]:
        """So many rows of a table from `start` on. What comes before them is read over."""
        with self.file(table).open(encoding="utf-8", newline="") as lines:
            rows = islice(csv.DictReader(lines), start, start + count)
            return [{name: spreadsheets.text(written) for name, written in row.items()} for row in rows]


def remove(cache: Path, partitions: Iterable[tuple[str, str]]) -> int:
    """Delete the audits of these (dataset, partition), finished or not. Returns how many there were.

    Those of several partitions of such a dataset go too, whichever they are of.
    """
    places = {(dataset, one) for dataset, key in partitions for one in (key, SEVERAL)}
    found = [folder for dataset, key in places for folder in cache.glob(f"audits/{dataset}/{key}/*")]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def older_than(cache: Path, moment: float) -> list[Path]:
    """The folders of kept audits that nobody has looked at since. moment: in seconds since 1970."""
    found = []
    for facts in cache.glob(f"audits/*/*/*/{FACTS}"):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            if facts.parent.stat().st_mtime < moment:
                found.append(facts.parent)
    return found


class KeptAudits:
    """The audits of a cache folder, for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._lake, self._folder = settings.lake, settings.cache / "audits"
        self._background = Background("audit", Bounds(SECONDS, MEMORY_BYTES), settings.cache)

    def of(self, choice: Choice) -> Audit | UnderWay | Waits:
        """The audit of partitions, as far as it is; begins it where nothing else is under way. Does not wait."""
        folder = self._place(choice)
        if folder.is_dir():
            # What another thread or process removes, a power cut has cut off, names a forgotten image, or has another
            # format is made anew.
            with contextlib.suppress(OSError, ValueError, KeyError):
                facts = json.loads((folder / FACTS).read_bytes())
                if facts["forgotten"] == deny.state(self._lake) and facts["format"] == FORMAT:
                    folder.touch()
                    return Audit(folder, facts["rows"])
            shutil.rmtree(folder, ignore_errors=True)
        return self._background.run(choice, self._made(choice, folder))

    def _place(self, choice: Choice) -> Path:
        if len(choice.runs) > 1:
            return self._folder / choice.dataset / SEVERAL / choice.digest
        ((partition, run_id),) = choice.runs
        return self._folder / choice.dataset / partition / run_id

    @contextlib.contextmanager
    def _made(self, choice: Choice, folder: Path) -> Iterator[list[str]]:
        """The command that makes an audit. What it has written is kept."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self._folder)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder.parent))
        try:
            forgotten = deny.state(self._lake)
            chosen = [f"--partition={partition}" for partition in choice.partitions]
            yield ["audit", choice.dataset, *chosen, f"--to={draft}"]
            rows = {}
            for table in TABLES:
                with (draft / f"{table}.csv").open(encoding="utf-8", newline="") as lines:
                    rows[table] = sum(1 for _ in csv.DictReader(lines))
            (draft / FACTS).write_text(json.dumps({"format": FORMAT, "rows": rows, "forgotten": forgotten}))
            draft.rename(folder)
            kept = sorted(self._folder.glob(f"*/*/*/{FACTS}"), key=lambda facts: facts.parent.stat().st_mtime)
            for facts in kept[:-KEPT]:
                shutil.rmtree(facts.parent, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Delete what audits have left that were cut off with their server: nobody else would."""
    for draft in folder.glob(f"*/*/{DRAFT}*"):
        with contextlib.suppress(FileNotFoundError):  # another process of the server has removed it
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)
