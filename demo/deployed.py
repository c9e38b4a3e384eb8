"""The demo's three days in a deployment that is already up. `make demo-compose` runs this in a container.

Environment: AIRFLOW_ADDRESS, AIRFLOW_ADMIN_PASSWORD, and the settings of the service.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from demo import outcome, photos
from demo.backfill import backfill
from deploy.local.api import Api
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.weights import load_weights
from imagefeatures.settings import Settings


def main() -> int:
    settings = Settings.from_env()
    # The dataset file's source is …/photos/fruit/{partition}/: upload the photos to where the DAG reads.
    folder = find_dataset(settings.datasets, photos.DATASET).source.uri.partition(f"/{photos.DATASET}/")[0]
    started = time.perf_counter()
    say("photos and weights: from the cache, or downloaded into it …")
    days = photos.upload(photos.fetch_photos(settings.cache), folder)
    load_weights(BACKBONES[DEFAULT], settings.cache)
    say(f"{sum(day.listed for day in days)} files in {folder}/{photos.DATASET}; {time.perf_counter() - started:.0f} s")
    api = Api(os.environ["AIRFLOW_ADDRESS"], lambda: os.environ["AIRFLOW_ADMIN_PASSWORD"])
    started = time.perf_counter()
    say(f"backfilling {', '.join(photos.PARTITIONS)}")
    dag_runs = backfill(api, settings.lake, Path(os.environ["AIRFLOW_HOME"]) / "logs")
    say(f"backfilled in {time.perf_counter() - started:.0f} s")
    return 0 if outcome.report_and_check(settings, dag_runs, days) else 1


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImageFeaturesError as error:
        sys.exit(f"{type(error).__name__}: {error}")
