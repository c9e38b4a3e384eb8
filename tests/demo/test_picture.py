"""The demo's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from demo import bad_files, picture
from support.demo_photos import jpeg


def test_queries_have_different_labels() -> None:
    labels = [label for label in "abcdefgh" for _ in range(3)]
    assert [labels[at] for at in picture.queries(labels)] == ["a", "b", "d", "e", "g"]
    assert picture.queries(["x", "y", "x", "x"]) == [2, 1]


def test_the_picture_can_show_odd_files(tmp_path: Path) -> None:
    made = [jpeg(seed) for seed in range(18)] + [bad_files.cmyk_jpeg(jpeg(1)), bad_files.grey_16_bit_png(jpeg(2))]
    uris = []
    for at, data in enumerate(made):
        (tmp_path / f"{at:02d} é%20.jpg").write_bytes(data)
        uris.append(f"file://{tmp_path}/{at:02d} é%20.jpg")
    labels = [f"label {at % 16}" if at else None for at in range(len(made))]  # more labels than colours
    features = np.random.default_rng(0).random((len(made), 1280), np.float32)
    picture.draw(features, labels, uris, tmp_path / "out" / "one.png")
    with Image.open(tmp_path / "out" / "one.png") as drawn:
        assert drawn.size == (2048, 1152)
        assert len(drawn.convert("RGB").resize((256, 144)).getcolors(256 * 144)) > 500


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [(0, "pear", "b"), (1, None, "c"), (2, "fig", "a")]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        at, labels, uris = zip(*(rows[i] for i in order), strict=True)
        features, known, sorted_uris = picture.by_uri(np.array(at)[:, None], list(labels), list(uris))
        assert features[:, 0].tolist() == [2, 0, 1]
        assert (known.tolist(), sorted_uris) == (["fig", "pear", "no label"], ["a", "b", "c"])
