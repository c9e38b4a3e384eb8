"""The declared chain: its shape, its facts, its JSON, and that no other module has a constant of pixels."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from imagefeatures.models.backbones import BACKBONES
from imagefeatures.preprocessing import RGB, Preprocessing, Upright
from imagefeatures.settings import REPOSITORY
from support.photos import encoded, picture, turned
from support.shared import PREPROCESSING, SPEC


def test_the_default_model_and_chain_keep_their_fingerprint() -> None:
    assert SPEC.fingerprint(PREPROCESSING) == "63e4fab4295764c4c5a908f0aaaec921"


def test_the_chain_settles_the_shape() -> None:
    assert PREPROCESSING.shape == SPEC.input_shape == (224, 224, 3)
    assert Preprocessing.standard(96, 160).shape == (96, 160, 3)
    with pytest.raises(ValueError, match="leaves the shape open"):
        _ = Preprocessing(chain=(Upright(), RGB())).shape


def test_every_transform_is_a_fact_of_the_fingerprint() -> None:
    whole = Preprocessing.standard(224, 224)
    shorter = [Preprocessing(chain=tuple(t for t in whole.chain if t is not left_out)) for left_out in whole.chain]
    assert len({SPEC.fingerprint(one) for one in [whole, *shorter, Preprocessing.standard(224, 225)]}) == 5


def test_a_chain_survives_json() -> None:
    assert Preprocessing.model_validate_json(PREPROCESSING.model_dump_json()) == PREPROCESSING
    with pytest.raises(ValidationError, match="letterbox"):
        Preprocessing.model_validate({"chain": [{"kind": "letterbox", "height": 9, "width": 9}]})


@pytest.mark.parametrize(("height", "width"), [(224, 224), (96, 160), (1, 7)])
def test_the_chain_makes_what_pillow_makes_step_by_step(height: int, width: int) -> None:
    data = encoded(picture(61, 47), quality=95, exif=turned(6))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        pixels = Preprocessing.standard(height, width)(image)
        upright = image.transpose(Image.Transpose.ROTATE_270).convert("RGB")
    assert np.array_equal(pixels, np.asarray(upright.resize((width, height), Image.Resampling.BICUBIC)))


def test_no_other_module_has_a_constant_of_pixels_width_or_model() -> None:
    models = {"backbones", "weights", "gpus", "mobilenet", "prepare"}  # the last two: one architecture, written down
    allowed = {f"imagefeatures/models/{name}.py" for name in models}
    allowed.add("imagefeatures/preprocessing/hugging_face.py")  # names of processors
    found = set()
    for folder in ("imagefeatures", "jobs", "plugins", "dags"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            code = re.sub(r'"""[\s\S]*?"""|#[^\n]*', "", path.read_text(encoding="utf-8"))  # words may name them
            for other in ("such as mobilenet_v2", "224.0.0.0/4", "size: [224, 224]", "0.224"):
                code = code.replace(other, "")  # examples, a network, and ImageNet's deviation of green
            if re.search(r"\b(224|150_?528|1_?280)\b|mobilenet", code, re.IGNORECASE):
                found.add(path.relative_to(REPOSITORY).as_posix())
    assert found <= allowed
    assert "imagefeatures/models/backbones.py" in found
    assert len(BACKBONES) == 20
