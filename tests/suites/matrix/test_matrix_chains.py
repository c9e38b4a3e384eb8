"""Thousands of random chains, and one through the command `imagefeatures run` with the real model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from imagefeatures import read
from imagefeatures.datasets import Dataset
from imagefeatures.models import engines, prepare
from imagefeatures.preprocessing import declared
from imagefeatures.settings import Settings
from support import chains
from support.photos import fill, real_photos
from support.shared import SPEC

CASES, LARGE = 5_000, 200


def test_random_chains_make_the_pixels_of_plain_pillow() -> None:
    cases = chains.random_chains(CASES, 17) + chains.random_chains(LARGE, 19, longest=4000)
    for seed, (height, width, preprocess) in enumerate(cases):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        dataset = Dataset.model_validate({"name": "d", "source": "s3://b/", "preprocess": preprocess})
        made = declared.settled(dataset.preprocess, SPEC)(Image.fromarray(pixels))
        expected = chains.expected(Image.fromarray(pixels), preprocess)
        np.testing.assert_array_equal(made, expected, f"{height} × {width}: {preprocess}")


def test_the_command_publishes_the_vectors_of_the_declared_chain(settings: Settings, tmp_path: Path) -> None:
    photos = real_photos()
    fill(tmp_path / "photos", {path.name: path.read_bytes() for path in photos})
    content = {"name": "two", "source": f"file://{tmp_path}/photos/", "preprocess": chains.CROP}
    (settings.datasets / "two.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "imagefeatures.cli", "run", "two", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = read.table(settings, "two").sort_by("uri")
    chain = declared.settled(Dataset.model_validate(content).preprocess, SPEC)
    assert set(rows["fingerprint"].to_pylist()) == {SPEC.fingerprint(chain)}
    engine = engines.load("openvino", prepare.read_bundle(SPEC, chain, settings.lake))
    pixels = np.stack([chains.expected(Image.open(path), chains.CROP) for path in photos])
    np.testing.assert_allclose(read.vectors(rows), engine.features(pixels), rtol=0, atol=1e-5)
