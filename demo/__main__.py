"""The work of `make demo`: real photos to a table and a picture."""

from __future__ import annotations

import os
import sys
import time

from demo import outcome, photos
from demo.backfill import backfill
from deploy.local.environment import HOME
from deploy.local.services import airflow
from imagefeatures import picture, read
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.weights import load_weights
from imagefeatures.settings import REPOSITORY, Settings

PICTURE = REPOSITORY / "out" / "fruit.png"


def main() -> int:
    os.environ["IMAGEFEATURES_DATASETS"] = str(REPOSITORY / "datasets")  # the demo has its own dataset file
    started = time.perf_counter()
    settings = Settings.from_env()
    say("photos and weights: from the cache, or downloaded into it …")
    days = photos.lay_out(photos.fetch_photos(settings.cache), REPOSITORY / "photos")
    load_weights(BACKBONES[DEFAULT], settings.cache)
    say(f"{sum(day.listed for day in days)} files in {REPOSITORY / 'photos' / photos.DATASET}; starting Airflow …")
    with airflow(HOME) as api:
        say(f"Airflow is up after {time.perf_counter() - started:.0f} s; backfilling {', '.join(photos.PARTITIONS)}")
        dag_runs = backfill(api, settings.lake, HOME / "logs")
        say("stopping Airflow …")
    if not outcome.report_and_check(settings, dag_runs, days):
        return 1
    say("drawing the picture …")
    draw(settings)
    print(
        f"\nThe picture: {PICTURE}   ({time.perf_counter() - started:.0f} s in all)\n\n"
        "Next:\n"
        "  make up                       the Airflow UI, with these runs and the page “Image features”\n"
        "  datasets/fruit.yaml           copy it, point `source` at your own folder or bucket: a DAG and a table more\n"
        "  docs/tables.md                read the table: NumPy, DuckDB, Spark"
    )
    return 0


def draw(settings: Settings) -> None:
    rows = read.table(settings, photos.DATASET, columns=("uri", "label", "features")).sort_by("uri")
    PICTURE.parent.mkdir(exist_ok=True)
    picture.draw(read.vectors(rows), rows["label"].to_pylist(), rows["uri"].to_pylist(), PICTURE)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImageFeaturesError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped")
