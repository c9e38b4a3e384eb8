"""The field `classify` of a dataset file. Imported whenever Airflow parses the DAG file: pydantic only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imagefeatures.strict import StrictModel

LOGISTIC_REGRESSION, RANDOM_FOREST, MLP = "logistic_regression", "random_forest", "mlp"
Kind = Literal["logistic_regression", "random_forest", "mlp"]
PCA, SCALE = "pca", "scale"

MOST_COMPONENTS = 512
MOST_SEED = 2**31 - 1


class Classify(StrictModel):
    """How a classifier is fitted to the dataset's vectors, and when it takes the place of the last one."""

    model: Kind = Field("logistic_regression", description="The kind of classifier")
    reduce: Literal["pca", "scale"] = Field("pca", description="What is done to the vectors first")
    components: int = Field(128, ge=2, le=MOST_COMPONENTS, description="How many principal components")
    test_share: float = Field(0.2, ge=0.05, le=0.5, description="Share of the images that is held out")
    split_seed: int = Field(0, ge=0, le=MOST_SEED, description="Which images are held out")
    max_rows: int = Field(100_000, ge=100, le=10_000_000, description="Most rows that are fitted")
    margin: float = Field(0.01, ge=0, le=1, description="How much worse a promoted classifier may be")
    fingerprint: str | None = Field(None, pattern="^[0-9a-f]{32}$", description="Which vectors, if there are several")
