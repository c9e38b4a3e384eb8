"""The objects that a run has listed, and files to list."""

from __future__ import annotations

from pathlib import Path

from imagefeatures import manifest
from imagefeatures.plan import Run

WORKERS = 2


def listed(run: Run) -> list[str]:
    """The URIs in a run's manifest."""
    shards = manifest.read_listing(run).shards
    return [uri for shard in range(shards) for uri in manifest.read_manifest(run, shard)["uri"].to_pylist()]


def sparse(folder: Path, sizes: list[int]) -> Path:
    """Write sparse files of these sizes in bytes. Returns the folder."""
    folder.mkdir()
    for number, size in enumerate(sizes):
        with (folder / f"{number:05d}.jpg").open("wb") as file:
            file.truncate(size)
    return folder
