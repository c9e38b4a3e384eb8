from __future__ import annotations

import numpy as np
import pytest

from imagefeatures import similarity


def test_neighbours_have_the_highest_cosines() -> None:
    angles = np.radians([0, 10, 90, 95, 200])
    unit = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    near, cosines = similarity.nearest(unit, 2)
    assert near[:, 0].tolist() == [1, 0, 3, 2, 3]
    assert cosines[0, 0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert (np.diff(cosines, axis=1) <= 0).all()
