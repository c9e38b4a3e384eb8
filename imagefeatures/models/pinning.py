"""Which weights a lake's model has, where the package does not say: those of its first use, from then on.

The fingerprint needs the digest of the weights before a run begins. It is taken once, from the file and without
TensorFlow, and recorded in the lake: later runs are planned by the record, and weights with other numbers are refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.layout import weights_record
from imagefeatures.models.spec import ModelSpec
from imagefeatures.models.weights import digest, load_weights


def pinned(spec: ModelSpec, lake: str, cache: Path) -> ModelSpec:
    """The spec with the digest of its weights: the package's, the lake's, or that of the weights found now.

    Raises ModelMismatch when there are no weights to take it from, or the lake's record is damaged.
    """
    if spec.weights_sha256 or spec.format != "keras-applications":
        return spec
    record = weights_record(lake, spec.name, spec.sha256)
    try:
        held = storage.read(record)
    except storage.ObjectMissing:
        facts = {"model": spec.name, "weights_sha256": digest(load_weights(spec, cache))}
        storage.write(record, json.dumps(facts, indent=1).encode(), only_if_absent=True)
        held = storage.read(record)  # another run's, if it was first
    try:
        sha256 = json.loads(held)["weights_sha256"]
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"weights_sha256 is {sha256!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelMismatch(
            f"MODEL_MISMATCH: {record} is damaged ({' '.join(str(error).split())}); put back a copy, or delete it: "
            "the next run then takes the digest of the weights that it finds"
        ) from None
    return spec.model_copy(update={"weights_sha256": sha256})
