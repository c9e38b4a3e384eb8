from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagefeatures.limits import Limits
from imagefeatures.models import engines
from imagefeatures.models.prepare import read_bundle
from support.photos import encoded, real_photos, turned
from support.shared import PREPROCESSING, SPEC, decode

LEAST_COSINE = 0.99
STORED = {  # orientation to how the pixels of an upright photo are stored
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("path", real_photos(), ids=lambda path: path.name)
def test_a_photo_stored_in_any_orientation_has_the_features_of_the_upright_one(
    path: object, prepared_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engines.cached("openvino", read_bundle(SPEC, PREPROCESSING, prepared_lake))
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    variants = [photo if turn is None else photo.transpose(turn) for turn in STORED.values()]
    files = [encoded(photo, quality=92, exif=turned(o)) for o, photo in zip(STORED, variants, strict=True)]
    lying = encoded(variants[5], quality=92)  # as if the orientation tag were ignored
    upright, *found, unheeded = engine.features(
        np.stack([decode(data, Limits()).pixels for data in [path.read_bytes(), *files, lying]])
    )
    cosines = [cosine(upright, vector) for vector in found]
    alike = sum(value >= LEAST_COSINE for value in cosines)
    with capsys.disabled():
        print(f" {alike}/8 orientations, least cosine {min(cosines):.4f} ", end="")
    assert alike == 8
    assert cosine(upright, unheeded) < LEAST_COSINE  # else the cosines above would prove nothing
