"""Figures in a results file, and tables of them in the documents, between two comments that name the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from imagefeatures.settings import REPOSITORY


def one_by_one(
    names: Iterable[str],
    measured: Callable[[str], dict[str, Any]],
    line: Callable[[str, dict[str, Any]], str],
    results: Path,
) -> dict[str, Any]:
    """Measure each name, say it, and keep it in the results file beside those of earlier runs. Returns all of them."""
    known: dict[str, Any] = json.loads(results.read_bytes()) if results.is_file() else {}
    for name in names:
        known[name] = measured(name)
        print(line(name, known[name]), flush=True)
        results.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known


def in_a_process(module: str, name: str, folder: str) -> dict[str, Any]:
    """What `python -m module NAME --folder FOLDER` prints as its last line. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", module, name, "--folder", folder]
    result = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def put(document: Path, begin: str, end: str, table: Iterable[str]) -> None:
    """Replace what stands between the lines begin and end of a document by a table's lines."""
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    document.write_text(before + begin + "\n".join(table) + "\n" + end + rest.partition(end)[2], encoding="utf-8")
