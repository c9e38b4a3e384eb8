"""What an audit finds of wrong labels and copies that were planted among the demo's real photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import audit
from demo.photos import by_label, fetch_photos
from imagefeatures.settings import Settings

pytestmark = pytest.mark.long  # 1,443 photos through the model


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_100_doubtful_labels_hold_45_of_50_wrong_ones_and_all_copies_are_found(
    tmp_path: Path, seed: int
) -> None:
    found = audit.measure(by_label(fetch_photos(Settings.from_env().cache)), tmp_path, seed)
    assert found.first_100 >= 45
    assert found.copies == audit.PLANTED == 50
