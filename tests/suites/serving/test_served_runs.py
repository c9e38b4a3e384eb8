"""Whole runs by real model servers: the local engine's vectors, whatever happens to the server meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import read, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ModelMismatch
from imagefeatures.local import finish_run, run_partition
from imagefeatures.models import engines
from imagefeatures.models.prepare import prepare, read_bundle
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.photos import fill, jpeg
from support.real_model_servers import RealServer
from support.shared import PARTITION, PREPROCESSING, SPEC

Start = Callable[[str], RealServer]
WAYS = {
    "kserve, pixels": ("kserve", {"protocol": "kserve", "model": "pixels"}),
    "kserve, predict, PNG": ("kserve", {"protocol": "tensorflow", "model": "encoded", "send": "png"}),
    "kserve, predict, lists": (
        "kserve",
        {"protocol": "tensorflow", "model": "pixels", "datatype": "uint8", "batch": 4},
    ),
    "triton, pixels": ("triton", {"protocol": "kserve", "model": "pixels"}),
    "triton, PNG": ("triton", {"protocol": "kserve", "model": "encoded", "send": "png"}),
}
"""The server, and the field `engine`. KServe's own runtime takes no bytes as strings in the Open Inference Protocol."""

PHOTOS = 48


@pytest.fixture
def photos(settings: Settings, tmp_path: Path, lake_with_model: str) -> Path:
    fill(tmp_path / "photos", {f"{at:03}.jpg": jpeg(at) for at in range(PHOTOS)})
    return tmp_path / "photos"


def dataset(photos: Path, name: str, engine: Any, **fields: Any) -> Dataset:
    return Dataset.model_validate({"name": name, "source": f"file://{photos}/", "engine": engine, **fields})


def vectors_of(settings: Settings, name: str) -> dict[str, np.ndarray]:
    rows = read.table(settings, name)
    return dict(zip(rows["uri"].to_pylist(), read.vectors(rows), strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_the_vectors_are_those_of_the_local_engine(
    real_server: Start, photos: Path, settings: Settings, way: str
) -> None:
    kind, fields = WAYS[way]
    engine = {"serving": real_server(kind).address, **fields}
    local = run_partition(dataset(photos, "here", "openvino"), RunParams(), settings, PARTITION)
    served = run_partition(dataset(photos, "served", engine), RunParams(), settings, PARTITION)
    assert served.outcome.row["registered"] == PHOTOS
    expected, found = vectors_of(settings, "here"), vectors_of(settings, "served")
    assert expected.keys() == found.keys()
    difference = max(float(np.abs(expected[uri] - found[uri]).max()) for uri in expected)
    seconds = local.seconds["featurize"], served.seconds["featurize"]
    print(f"\n{way}: {difference:.1e}; featurize {PHOTOS} photos: here {seconds[0]:.1f} s, served {seconds[1]:.1f} s")
    assert difference <= 1e-3


@pytest.mark.parametrize("kind", ["kserve", "triton"])
def test_a_server_that_is_killed_and_restarted_in_the_middle_of_a_run_loses_nothing(
    real_server: Start, photos: Path, settings: Settings, kind: str
) -> None:
    server = real_server(kind)
    engine = {"serving": server.address, "protocol": "kserve", "model": "pixels", "batch": 4, "deadline": 120}
    run_file = plan_run(dataset(photos, "served", engine), RunParams(shard_images=12), PARTITION, settings)
    killed = threading.Event()

    def kill_and_restart() -> None:
        run = load_run(run_file)
        while not any("/featurize/" in stored.uri for stored in storage.list_objects(run.layout.run)):
            time.sleep(0.05)
        server.kill()
        killed.set()
        time.sleep(2)
        server.start()

    other = threading.Thread(target=kill_and_restart)
    other.start()
    row = finish_run(run_file, settings, workers=2).outcome.row
    other.join()
    assert killed.is_set()
    assert (row["listed"], row["registered"], row["quarantined"]) == (PHOTOS, PHOTOS, 0)


@pytest.mark.parametrize("change", [("2", 1.0), ("1", 1.01)], ids=["version", "weights"])
def test_a_model_that_changes_in_the_middle_of_a_run_publishes_nothing(
    real_server: Start, photos: Path, settings: Settings, change: tuple[str, float]
) -> None:
    server = real_server("kserve")
    engine = {"serving": server.address, "protocol": "kserve", "model": "pixels", "batch": 4}
    served = dataset(photos, "served", engine)
    before = run_partition(served, RunParams(), settings, PARTITION).outcome.row["run_id"]
    run_file = plan_run(served, RunParams(shard_images=12, reuse=False), PARTITION, settings)
    run = load_run(run_file)

    def update() -> None:
        while not any("/featurize/" in stored.uri for stored in storage.list_objects(run.layout.run)):
            time.sleep(0.05)
        server.says(*change)

    other = threading.Thread(target=update)
    other.start()
    try:
        with pytest.raises(ModelMismatch, match=r"has changed since version 1 was planned: .*; start a new run$"):
            finish_run(run_file, settings, workers=2)
    finally:
        other.join()
        server.says("1")
    assert set(read.table(settings, "served")["run_id"].to_pylist()) == {before}


def test_pixels_cost_this_side_little_beside_the_model_itself(
    real_server: Start, photos: Path, settings: Settings
) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (128, *SPEC.input_shape), np.uint8)
    local = engines.load("openvino", read_bundle(SPEC, PREPROCESSING, settings.lake))
    fields = {"serving": real_server("triton").address, "protocol": "kserve", "model": "pixels"}
    run = load_run(plan_run(dataset(photos, "served", fields), RunParams(), PARTITION, settings))
    bundle = read_bundle_of(run, settings)
    served = engines.load(ServedEngine.model_validate(fields), bundle)
    spent = {}
    for name, engine in (("here", local), ("served", served)):
        wall, cpu = time.perf_counter(), time.process_time()
        engine.features(pixels)
        spent[name] = (time.process_time() - cpu) / len(pixels)
        rate = len(pixels) / (time.perf_counter() - wall)
        print(f"\n{name}: {rate:.0f} images/s, {1000 * spent[name]:.1f} ms of CPU here; load {os.getloadavg()[0]:.1f}")
    assert spent["served"] < spent["here"] / 3


def read_bundle_of(run: Any, settings: Settings) -> engines.Bundle:
    prepare(run.model, run.preprocessing, run.lake, settings.cache, run.dataset.engine)
    return read_bundle(run.model, run.preprocessing, run.lake)
