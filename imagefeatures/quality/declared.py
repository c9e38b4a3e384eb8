"""The field `alerts` of a dataset file. Imported whenever Airflow parses the DAG file: pydantic only."""

from __future__ import annotations

from pydantic import Field

from imagefeatures import names
from imagefeatures.strict import StrictModel

QUARANTINE_RATE, COUNT, DRIFT, IMAGES_PER_SECOND = "quarantine_rate", "count", "drift", "images_per_second"

LEVEL, WINDOW = 0.01, 7
"""The level and the reference window of the drift where no alert is declared."""

LEAST_LEVEL = 0.001
"""The smallest level that the draws of `drift` can tell from smaller ones."""


class Alerts(StrictModel):
    """From which values on a published partition is marked, and who is told. Without a value there is no such alert."""

    quarantine_rate: float | None = Field(None, ge=0, le=1, description="More than this share of the objects rejected")
    count: float | None = Field(
        None, gt=0, le=10, description="Objects differ by more than this share from earlier partitions"
    )
    drift: float | None = Field(
        None, ge=LEAST_LEVEL, le=0.5, description="Vectors differ from earlier ones more than chance does this often"
    )
    drift_least: float = Field(0.0, ge=0, le=2, description="The smallest drift that is an alert, whatever its level")
    window: int = Field(WINDOW, ge=1, le=100, description="How many earlier partitions drift is measured against")
    images_per_second: float | None = Field(None, gt=0, le=1_000_000, description="The run was slower than this")
    notify: str | None = Field(None, pattern=names.IMPORT_PATH, description="What is called, by its import path")
    fail: bool = Field(False, description="Fail the run too; what it has published stays")
