"""The order of the rows of several outputs, of which one alone takes vectors from its table."""

from __future__ import annotations

from pathlib import Path

from imagefeatures import shards
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE
from support.photos import fill, jpeg
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION


def test_rows_of_a_further_model_are_in_order_though_it_alone_reuses_vectors(
    settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(settings, tmp_path / "photos")
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (1, 3, 5)})
    lake.published(FIRST, SECOND)
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (0, 2, 4)})
    spies = Spies()
    run = lake.ready(spies, THIRD, SECOND)
    assert spies.computed == {THIRD: 6, SECOND: 3}
    receipts = shards.read_receipts(run.layout, FEATURIZE)
    for number in range(2):
        files = [receipt.outputs[number].own for receipt in receipts]
        rows = [Path(row["uri"]).stem for file in files if file for row in shards.read_staged(file).to_pylist()]
        assert rows == list("012345")
