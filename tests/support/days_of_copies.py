"""Three days of drawn pictures, seeded models of them, and what must be in the tables: vectors of augmented copies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagefeatures import read
from imagefeatures.settings import Settings
from support import copies
from support.photos import encoded, fill, picture
from support.seeded_keras import check_vector, keras_model

SIDE = 40
MODELS = {"first": 1, "second": 2, "third": 3}
"""Each with the seed of its weights."""

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
AUGMENT = {"copies": 1, "seed": 4, "crop": 0.6, "flip": "horizontal", "contrast": 0.3}
PHOTOS = {
    day: {f"{at}.png": encoded(picture(50 + at, 70, 10 * number + at), "PNG") for at in range(6)}
    for number, day in enumerate(DAYS)
}


def lay_out(root: Path) -> None:
    """The pictures, and a folder for dataset files."""
    for day, photos in PHOTOS.items():
        fill(root / "photos" / day, photos)
    (root / "datasets").mkdir()


def declare(root: Path, dataset: str, files: Sequence[str]) -> None:
    """Write the dataset file. files: of the models, below the root; each is called as its file without the ending."""
    fields = {
        "name": dataset,
        "source": f"file://{root}/photos/{{partition}}/",
        "models": [
            {"name": file.partition(".")[0], "uri": f"file://{root}/{file}", "normalize": "tf"} for file in files
        ],
        "preprocess": [{"augment": AUGMENT}, {"resize": {"size": [SIDE, SIDE]}}],
    }
    (root / "datasets" / f"{dataset}.yaml").write_text(json.dumps(fields))


def check_table(table: str, model: str, days: Sequence[str] = DAYS) -> dict[tuple[str, int], list[float]]:
    """The vectors of a table against those of Keras, for pixels that plain Pillow makes."""
    keras = keras_model(3, SIDE, SIDE, MODELS[model])
    rows = read.table(Settings.from_env(), table).to_pylist()
    assert len(rows) == 2 * sum(len(PHOTOS[day]) for day in days)
    for row in rows:
        data = PHOTOS[row["partition_key"]][Path(row["uri"]).name]
        given = copies.expected(data, AUGMENT, row["copy"], SIDE).astype(np.float32) / np.float32(127.5) - 1
        check_vector(np.array(row["features"], np.float32), keras(given[None]).numpy()[0])
    return {(row["uri"], row["copy"]): row["features"] for row in rows}
