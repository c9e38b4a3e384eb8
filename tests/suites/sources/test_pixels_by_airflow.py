"""Datasets that publish pixels, beside vectors and alone, through a real scheduler and real Spark jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deploy.local.api import Api
from deploy.local.services import airflow
from imagefeatures import bicubic, images, read
from imagefeatures.settings import Settings
from support.airflow_session import ended, trigger
from support.photos import fill, jpeg
from support.shared import until

DAY = "2026-11-02"
PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at) for at in range(12)}
EMPTY = "red/empty.jpg"
DATASETS = {"kept": "pixels: keep", "alone": "pixels: keep\nfeatures: none"}


@dataclass(frozen=True)
class Stack:
    home: Path
    photos: Path
    settings: Settings


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("pixels")
    for name in ("datasets", "lake"):
        (root / name).mkdir()
    photos = fill(root / "photos" / DAY, PHOTOS | {EMPTY: b""})
    for name, fields in DATASETS.items():
        source = f"file://{root}/photos/{{partition}}/"
        (root / "datasets" / f"{name}.yaml").write_text(
            f"name: {name}\nsource: {source}\nlimits: {{max_rejected: 0.5}}\n{fields}\n"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_LAKE", f"file://{root}/lake")
        patch.setenv("IMAGEFEATURES_DATASETS", str(root / "datasets"))
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield Stack(root / "airflow", photos, Settings.from_env())


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    with airflow(stack.home) as running:
        wanted = {f"features_{name}" for name in DATASETS}
        until(lambda: wanted <= {dag["dag_id"] for dag in running.get("/api/v2/dags")["dags"]})
        for dag_id in wanted:
            running.patch(f"/api/v2/dags/{dag_id}", {"is_paused": False})
        yield running


@pytest.fixture(scope="module")
def first(api: Api) -> dict[str, dict[str, Any]]:
    """Dataset to the end of its first run."""
    return _run(api)


def _run(api: Api) -> dict[str, dict[str, Any]]:
    triggered = {name: trigger(api, name, partition=DAY, shard_images=4) for name in DATASETS}
    return {name: ended(api, run) for name, run in triggered.items()}


@pytest.mark.parametrize("name", DATASETS)
def test_the_pixels_are_published_with_what_belongs_to_them(
    name: str, first: dict[str, dict[str, Any]], api: Api, stack: Stack
) -> None:
    run = first[name]
    assert run["state"] == "success", api.tasks(run["dag_id"], run["dag_run_id"])
    check(stack, name, reused=0)


def test_a_second_run_takes_all_of_it_over(first: dict[str, dict[str, Any]], api: Api, stack: Stack) -> None:
    before = {name: read.runs(stack.settings, name)[0]["run_id"] for name in DATASETS}
    for name, run in _run(api).items():
        assert run["state"] == "success", api.tasks(run["dag_id"], run["dag_run_id"])
        assert read.runs(stack.settings, name)[0]["run_id"] != before[name]
        check(stack, name, reused=len(PHOTOS))


def check(stack: Stack, name: str, *, reused: int) -> None:
    """All tables hold the rows of one run: each good photo's own pixels, and the file that is none."""
    (run,) = read.runs(stack.settings, name)
    assert (run["registered"], run["reused"], run["quarantined"]) == (len(PHOTOS), reused, 1)
    assert (run["model"] == "none") is (name == "alone")
    whats = ["pixels"] if name == "alone" else ["features", "pixels"]
    tables = {what: read.table(stack.settings, name, what=what) for what in whats}
    quarantined = read.table(stack.settings, "quarantine", where=f"dataset = '{name}'")
    assert quarantined["uri"].to_pylist() == [f"file://{stack.photos}/{EMPTY}"]
    for rows in [*tables.values(), quarantined]:
        assert set(rows["run_id"].to_pylist()) == {run["run_id"]}
    true = {f"file://{stack.photos}/{key}": picture(data) for key, data in PHOTOS.items()}
    for rows in tables.values():
        assert sorted(rows["uri"].to_pylist()) == sorted(true)
    rows = tables["pixels"]
    for uri, label, pixels in zip(rows["uri"].to_pylist(), rows["label"].to_pylist(), read.pixels(rows), strict=True):
        np.testing.assert_array_equal(pixels, true[uri])
        assert label == uri.split("/")[-2]


def picture(data: bytes) -> np.ndarray:
    """What the default preprocessing makes of an image: uint8 [224, 224, 3]."""
    return bicubic.resized(images.to_rgb(Image.open(BytesIO(data))), 224, 224)
