"""A lake of two days, and what it holds in the tables, in the folder and in the catalog's file."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagefeatures import local, read
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps.register import Outcome, register
from support.publishing import DAY
from support.shared import THIS_PROCESS

TABLES = ("photos", "quarantine", "runs")

Moved = Callable[..., Settings]
"""moved("copy" or "move"): the settings of the lake in its new place, in the environment too."""


def published(settings: Settings, folder: Path, partition: str = DAY) -> Outcome:
    """Run a day of the photos in a folder and publish it."""
    dataset = Dataset(name="photos", source=f"file://{folder}/{{partition}}/", limits={"max_rejected": 0.5})
    run = load_run(plan_run(dataset, RunParams(), partition, settings), settings.lake)
    local.run_steps(run, THIS_PROCESS)
    return register(run.layout.run_file, settings)


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table."""
    return {name: read.table(settings, name).to_pylist() for name in TABLES}


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder. SQLite's file is told by its rows: opening it may touch it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("catalog.db")
    }


def catalog_rows(file: Path) -> list[Any]:
    """What a SQLite catalog says of its tables."""
    with sqlite3.connect(file) as connection:
        return connection.execute("select * from iceberg_tables order by table_name").fetchall()
