"""The model step: weights in, engine-ready files in the lake out, once for each fingerprint.

Before a file is written every engine must reproduce the reference on the golden pictures, and the
reference must reproduce the golden vectors that are kept beside this module. `model.json` is
written last: a folder without it does not count.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import model_folder
from imagefeatures.models import MODELS, reference
from imagefeatures.models.engines import Bundle, load
from imagefeatures.models.reference import check_parity
from imagefeatures.models.weights import Arrays, load_weights

FILES = {"weights_npz": "weights.npz", "openvino_xml": "model.xml", "openvino_bin": "model.bin"}


def prepare(model: str, lake: str, cache: Path) -> dict[str, object]:
    """Make sure that the lake holds the model, proven. Returns model.json's content: what was measured.

    Raises ModelMismatch when the weights or an engine's numbers are wrong.
    """
    folder = model_folder(lake, MODELS[model].fingerprint)
    try:
        return json.loads(storage.read(f"{folder}/model.json"))
    except storage.ObjectMissing:
        pass  # not prepared yet
    arrays = load_weights(model, cache)
    keras_model = reference.build(arrays)
    pixels = reference.golden_pixels()
    expected = keras_model(reference.scaled(pixels), training=False).numpy()
    check_parity("the reference", expected, reference.golden_vectors())
    bundle = _bundle(model, arrays, keras_model)
    parity = {
        name: check_parity(name, load(name, bundle).features(pixels), expected) for name in ("openvino", "tensorflow")
    }
    for field, name in FILES.items():
        storage.write(f"{folder}/{name}", getattr(bundle, field))
    facts = {
        "model": model,
        "fingerprint": bundle.fingerprint,
        "width": bundle.width,
        "sha256": {name: hashlib.sha256(getattr(bundle, field)).hexdigest() for field, name in FILES.items()},
        "parity": parity,
    }
    storage.write(f"{folder}/model.json", json.dumps(facts, indent=1).encode())
    return facts


def read_bundle(lake: str, model: str) -> Bundle:
    """The prepared files. Raises ModelMismatch when they are missing or not those that were proven."""
    folder = model_folder(lake, MODELS[model].fingerprint)
    try:
        facts = json.loads(storage.read(f"{folder}/model.json"))
        files = {field: storage.read(f"{folder}/{name}") for field, name in FILES.items()}
    except storage.ObjectMissing as error:
        raise ModelMismatch(f"MODEL_MISMATCH: {folder} is not prepared ({error}); run the model task") from None
    for field, name in FILES.items():
        if hashlib.sha256(files[field]).hexdigest() != facts["sha256"][name]:
            raise ModelMismatch(f"MODEL_MISMATCH: {folder}/{name} is not the file that was proven; remove the folder")
    return Bundle(fingerprint=facts["fingerprint"], width=facts["width"], **files)


def _bundle(model: str, arrays: Arrays, keras_model: object) -> Bundle:
    weights = io.BytesIO()
    np.savez(weights, **{f"{layer}/{at}": array for layer, found in arrays.items() for at, array in enumerate(found)})
    xml, binary = _to_openvino(keras_model)
    return Bundle(MODELS[model].fingerprint, MODELS[model].width, weights.getvalue(), xml, binary)


def _to_openvino(keras_model: object) -> tuple[bytes, bytes]:
    """The model as OpenVINO files whose input is the uint8 pixels of one image: scaling is part of the graph."""
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    converted = ov.convert_model(keras_model, input=[1, 224, 224, 3])
    steps = PrePostProcessor(converted)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(127.5).scale(127.5)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        path = Path(folder) / "model.xml"
        ov.save_model(steps.build(), path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()
