"""Runs over real photos, with their requests to the store counted: each call of the store is one request on S3."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.model import prepare_model, read_bundle
from benchmarks.photos import read_demo_photos
from imagefeatures import manifest, shards, storage
from imagefeatures.catalog.tables import open_catalog
from imagefeatures.datasets import Dataset
from imagefeatures.models import engines
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import SPARK_STEPS
from imagefeatures.steps.register import register
from imagefeatures.storage.local import LocalStore
from imagefeatures.storage.objects import ObjectVersion


class Counting(LocalStore):
    """A local store that counts S3's requests, except listings, which take one request for 1,000 keys."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()

    def read(self, path: str) -> bytes:
        self.requests["GET"] += 1
        return super().read(path)

    def read_part(self, path: str, start: int, length: int) -> bytes:
        self.requests["GET"] += 1
        return super().read_part(path, start, length)

    def fetch_all(self, versions: Sequence[ObjectVersion], folder: str | None = None) -> Iterator[Any]:
        self.requests["GET"] += len(versions)
        return super().fetch_all(versions, folder)

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        self.requests["PUT"] += 1
        return super().write(path, data, only_if_absent)


def counted_runs(photos: int, shard_images: Sequence[int]) -> list[dict[str, Any]]:
    """One run over so many photos for each size of shards, each in a lake of its own. Returns the runs' counts."""
    counts = []
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as name:
        source = Path(name) / "photos"
        source.mkdir()
        for number, (_, data) in enumerate(read_demo_photos(Settings.from_env().cache)[:photos]):
            (source / f"{number}.jpg").write_bytes(data)
        for size in shard_images:
            settings = Settings.from_env({"IMAGEFEATURES_LAKE": f"file://{name}/lake-{size}"})
            prepare_model(settings)
            dataset = Dataset.model_validate({"name": "photos", "source": f"file://{source}/", "reuse": False})
            params = RunParams.parse({"shard_images": size})
            counts.append(
                _counted(load_run(plan_run(dataset, params, "2026-11-02", settings), settings.lake), settings)
            )
    return counts


def _counted(run: Run, settings: Settings) -> dict[str, Any]:
    """Take a run through every step. Returns its shards, requests of each step, bytes an image, and Iceberg's files."""
    run_shard = StepRunner(engines.cached("openvino", read_bundle(settings.lake)))
    listing = manifest.list_source(run, workers=0)
    requests, sizes = {}, {"source": listing.bytes / listing.objects}
    manifests = Counter({"PUT": listing.shards})  # ingest's driver writes one for each shard
    names = {"ingest": "raw", "validate": "verdicts", "resize": "pixels", "featurize": "features"}
    for step in SPARK_STEPS:
        store = Counting()
        with patch.object(storage, "_store", lambda _, store=store: store):
            for shard in range(listing.shards):
                run_shard(run, step, shard)
            receipts = shards.read_receipts(run.layout, step)  # as the driver does when the step ends
        requests[step] = store.requests + (manifests if step == "ingest" else Counter())
        sizes[names[step]] = shards.totals(receipts).bytes / listing.objects
    store = Counting()
    with patch.object(storage, "_store", lambda _: store):
        register(run.layout.run_file, settings)
    requests["register"] = store.requests
    return {"shards": listing.shards, "requests": requests, "bytes": sizes, "iceberg": _commit(settings)}


def _commit(settings: Settings) -> dict[str, int]:
    """The files and manifests of the table's current snapshot."""
    table = open_catalog(settings).load_table("features.photos")
    snapshot = table.current_snapshot()
    if not snapshot:
        raise LookupError("nothing was published")
    manifests = snapshot.manifests(table.io)
    entries = sum(len(manifest.fetch_manifest_entry(table.io)) for manifest in manifests)
    size = sum(manifest.manifest_length for manifest in manifests)
    return {"files": entries, "manifests": len(manifests), "manifest_bytes": size}
