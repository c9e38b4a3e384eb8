"""Publications that stop between two commits, and what the tables and the lake hold then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import layout, read, storage
from imagefeatures.catalog import tables
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

TABLES = ("quarantine", "photos", "runs")


def finished_runs(make_run: MakeRun, folder: Path) -> Callable[..., Run]:
    """finished_runs(make_run, folder)(name): a run of that dataset with every step done, ready to register.

    folder: where its photos are laid out; one of them is rejected.
    """
    photos = fill(folder, {f"{at}.jpg": jpeg(at) for at in range(4)} | {"bad.jpg": b""})

    def make(name: str = "photos") -> Run:
        run = make_run(photos, {"reuse": False}, limits={"max_rejected": 0.5}, name=name)
        run_steps(run, THIS_PROCESS)
        return run

    return make


def stopped(run: Run, settings: Settings, before: str, patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Register the run, whose process ends or fails when it comes to the table `before`."""
    swaps = {name: getattr(tables, name) for name in ("replace_rows", "replace_files")}

    def swap_or_fail(name: str) -> Callable[..., bool]:
        def call(table: object, *rest: object) -> bool:
            if table.name()[-1] == before:  # type: ignore[attr-defined]
                raise error
            return swaps[name](table, *rest)

        return call

    with patch.context() as patched, pytest.raises(type(error)):
        for name in swaps:
            patched.setattr(tables, name, swap_or_fail(name))
        register.register(run.layout.run_file, settings)


def runs_in(settings: Settings) -> list[set[str]]:
    """The run_id of the rows of the dataset photos in each of its three tables."""
    rows = {name: read.table(settings, name) for name in TABLES}
    return [
        {row["run_id"] for row in rows[name].to_pylist() if row.get("dataset", "photos") == "photos"} for name in TABLES
    ]


def notes(settings: Settings) -> list[str]:
    """The URIs of the publications that are written down and not ended."""
    return [stored.uri for stored in storage.list_objects(layout.publications_folder(settings.lake))]
