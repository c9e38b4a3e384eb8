"""Images of every format in the decode process, which opens no file and starts no thread after its first image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import batches, images, isolation
from imagefeatures.limits import Limits
from support.photos import ENCODINGS, encoded, jpeg, picture
from support.shared import PREPROCESSING, decode

LIMITS = Limits()


@pytest.fixture(scope="module")
def confined() -> Iterator[isolation.Isolated]:
    process = isolation.Isolated(images.decode)
    process.run([jpeg(1)], LIMITS, PREPROCESSING)
    yield process
    process.stop()


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_format_has_the_same_pixels_there_as_here(name: str, confined: isolation.Isolated) -> None:
    kind, options = ENCODINGS[name]
    data = encoded(picture(150, 100), kind, **options)
    batch = confined.run([data], LIMITS, PREPROCESSING)
    assert batch.records["state"] == batches.DONE, batch.records["detail"]
    np.testing.assert_array_equal(batch.pixels[0], decode(data, LIMITS).pixels)
    assert len(list(Path(f"/proc/{int(batch.pid[0])}/task").iterdir())) <= 2  # an allocator has one of its own
