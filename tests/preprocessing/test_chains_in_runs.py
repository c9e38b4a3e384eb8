"""Declared chains in whole runs: the pixel files, run.json and what is refused of it, reuse and re-drives."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import local, read, shards, storage
from imagefeatures.errors import ParamsError
from imagefeatures.pixels import as_pixels
from imagefeatures.plan import load_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.steps import RESIZE, register
from support import chains
from support.photos import encoded, fill, picture, turned
from support.shared import PARTITION, SPEC, THIS_PROCESS, MakeRun

PICTURES = {
    "wide.jpg": encoded(picture(401, 233), quality=95),
    "tall.png": encoded(picture(97, 350, 1), "PNG"),
    "turned.jpg": encoded(picture(300, 199, 2), quality=95, exif=turned(6)),
    "small.webp": encoded(picture(31, 17, 3), "WEBP"),
    "dot.png": encoded(picture(1, 1, 4), "PNG"),
    "line.png": encoded(picture(640, 1, 5)[:1], "PNG"),
    "grey.jpg": encoded(Image.fromarray(picture(240, 260, 6)[..., 0]), quality=95),
}
EXTREME = {"strip.png": encoded(np.zeros((1, 30_000, 3), np.uint8), "PNG")}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", PICTURES)


@pytest.mark.parametrize("name", chains.FOUR)
def test_a_run_makes_the_pixels_of_plain_pillow(name: str, make_run: MakeRun, photos: Path, settings: Settings) -> None:
    preprocess = chains.FOUR[name]
    run = make_run(photos, {"shard_images": 3}, preprocess=preprocess)
    local.run_steps(run, THIS_PROCESS)
    compared = 0
    for shard in range(3):
        rows = shards.read_output(run.layout, RESIZE, shard)
        for uri, found in zip(rows["uri"].to_pylist(), as_pixels(rows, run.preprocessing.shape), strict=True):
            with Image.open(io.BytesIO(PICTURES[Path(uri).name])) as image:
                assert np.array_equal(found, chains.expected(image, preprocess)), uri
            compared += 1
    assert compared == len(PICTURES)
    register.register(run.layout.run_file, settings)
    table = read.table(settings, "photos").to_pylist()
    assert {row["fingerprint"] for row in table} == {run.fingerprint}
    assert (run.fingerprint == "63e4fab4295764c4c5a908f0aaaec921") == (name == "stretch")
    assert {Path(row["uri"]).name: (row["width"], row["height"]) for row in table}["turned.jpg"] == (199, 300)


def test_vectors_are_reused_with_the_same_chain_and_with_no_other(
    make_run: MakeRun, photos: Path, settings: Settings
) -> None:
    computed = []
    for preprocess in (None, chains.STRETCH, chains.CROP, chains.CROP):
        run = make_run(photos, preprocess=preprocess)
        local.run_steps(run, THIS_PROCESS)
        computed.append(register.register(run.layout.run_file, settings).summary["computed"])
    assert computed == [len(PICTURES), 0, len(PICTURES), 0]


def test_a_picture_that_no_transform_can_take_is_a_row_and_may_be_taken_again(
    make_run: MakeRun, photos: Path, settings: Settings
) -> None:
    fill(photos, EXTREME)
    crop = [{"crop": {"x": 20, "y": 10, "width": 300, "height": 300}}, *chains.CROP]
    for preprocess, reasons in (
        (chains.CROP, {"strip.png": "TOO_MANY_PIXELS", "line.png": "DONE"}),
        (crop, {"strip.png": "TOO_SMALL", "line.png": "TOO_SMALL", "dot.png": "TOO_SMALL"}),
    ):
        run = make_run(photos, {"max_rejected": 0.5}, preprocess=preprocess)
        local.run_steps(run, THIS_PROCESS)
        register.register(run.layout.run_file, settings)
        rejected = {Path(row["uri"]).name: row["reason"] for row in read.table(settings, "quarantine").to_pylist()}
        assert rejected == {name: reason for name, reason in reasons.items() if reason != "DONE"}
    params = RedriveParams.parse({"reason": "TOO_SMALL"})
    assert choose.partitions(run.dataset, params, settings) == [PARTITION]
    assert choose.plan_redrive(run.dataset, params, PARTITION, settings)
    stretched = run.dataset.model_copy(update={"preprocess": None})
    with pytest.raises(ParamsError, match=rf"another fingerprint, {run.fingerprint}, than a run computes now"):
        for partition in choose.partitions(stretched, params, settings):
            choose.plan_redrive(stretched, params, partition, settings)


def test_plan_refuses_a_chain_that_makes_another_input_with_both_sizes(make_run: MakeRun, photos: Path) -> None:
    with pytest.raises(ParamsError) as refused:
        make_run(photos, preprocess=[{"resize": {"shortest_edge": 256}}, {"center_crop": {"size": [240, 224]}}])
    assert str(refused.value) == (
        "preprocess: makes 240 × 224 × 3 (height × width × channels) of a picture, and mobilenet_v2 takes 224 × 224 × 3"
    )


def test_run_json_holds_the_chain_with_every_default(make_run: MakeRun, photos: Path) -> None:
    run = make_run(photos, preprocess=chains.CROP)
    facts = json.loads(storage.read(run.layout.run_file))
    resize = {"size": None, "shortest_edge": 256, "longest_edge": None, "interpolation": "bilinear"}
    assert facts["dataset"]["preprocess"] == [{"resize": resize}, {"center_crop": {"size": [224, 224]}}]
    assert facts["preprocessing"]["chain"] == [
        {"kind": "upright"}, {"kind": "rgb"}, {"kind": "resize", **resize}, {"kind": "center_crop", "size": [224, 224]},
    ]  # fmt: skip
    assert load_run(run.layout.run_file) == run


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another order": lambda facts: facts["preprocessing"]["chain"].reverse(),
    "a transform less": lambda facts: facts["preprocessing"]["chain"].pop(),
    "another filter": lambda facts: facts["preprocessing"]["chain"][2].update(interpolation="bicubic"),
    "another size": lambda facts: facts["preprocessing"]["chain"][3].update(size=[224, 225]),
    "the model's own": lambda facts: facts.update(preprocessing=SPEC.preprocessing.model_dump(mode="json")),
    "the dataset's filter": lambda facts: facts["dataset"]["preprocess"][0]["resize"].update(interpolation="box"),
    "none in the dataset": lambda facts: facts["dataset"].update(preprocess=None),
    "the dataset's size": lambda facts: facts["dataset"]["preprocess"][1]["center_crop"].update(size=[9, 9]),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_run_json_with_another_chain_than_its_dataset_declares_is_refused(
    what: str, make_run: MakeRun, photos: Path
) -> None:
    run = make_run(photos, preprocess=chains.CROP)
    facts = json.loads(storage.read(run.layout.run_file))
    EDITS[what](facts)
    storage.write(run.layout.run_file, json.dumps(facts).encode())
    with pytest.raises(ParamsError, match=rf"^--run: {run.layout.run_file} is not as plan wrote it: preprocess[^\n]*$"):
        load_run(run.layout.run_file)


def test_a_run_json_from_before_the_field_is_read(make_run: MakeRun, photos: Path) -> None:
    run = make_run(photos)
    facts = json.loads(storage.read(run.layout.run_file))
    del facts["dataset"]["preprocess"]
    storage.write(run.layout.run_file, json.dumps(facts).encode())
    assert load_run(run.layout.run_file) == run
