"""The application that Airflow's API server mounts at /image-features.

/                                            every dataset: its totals and its latest partitions
/datasets/{dataset}                          one dataset: all its partitions
/datasets/{dataset}/partitions/{partition}   one partition
/dags/{dag_id}/runs/{run_id}                 the partition that a DAG run fills
…/progress                                   JSON: how far that run is
…/rejected.csv                               of a run and of a partition: every rejected object
…/partitions/{partition}/gallery             its photos
…/partitions/{partition}/audit               labels in doubt, and photos that are there twice
/datasets/{dataset}/audit                    the same of all published partitions together
…/audit/{table}.{kind}                       of both: a table as CSV, or as Parquet
/datasets/{dataset}/map                      the vectors of some partitions on a plane
…/maps/{digest}/points, …/photos/{point}     of a map, for its script: JSON, and a small picture of each photo
/static/{name}                               scripts and style sheets
…/partitions/{partition}/thumbnails/{id}     a small picture of an object of the partition
/quarantine, /quarantine.csv                 quarantined objects, by dataset, partition, reason and text
/dags/{dag_id}/partitions/{partition}/trigger  POST: run a partition again, or take its objects again

Nothing here runs in the threads that Airflow's own routes share: routes and handlers are coroutines.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from imagefeatures.errors import ImageFeaturesError, SettingsError
from imagefeatures_airflow.web import (
    access,
    actions,
    audit,
    datasets,
    feature_map,
    gallery,
    quarantine,
    rendering,
    run,
    static,
    thumbnails,
)
from imagefeatures_airflow.web.partitions import NotShown
from imagefeatures_airflow.web.published import Unavailable

PAGES = (
    datasets.router,
    run.router,
    thumbnails.router,
    quarantine.router,
    actions.router,
    gallery.router,
    audit.router,
    feature_map.router,
    static.router,
)

log = logging.getLogger(__name__)

# Airflow does not guard the routes of a plugin. FastAPI does not guard its own documentation routes: there are none.
app = FastAPI(title="Image features", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[access.KNOWN_USER])
for page in PAGES:
    app.include_router(page)


@app.middleware("http")
async def _send_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in rendering.HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(SettingsError)
@app.exception_handler(Unavailable)
async def _unavailable(request: Request, error: Exception) -> HTMLResponse:
    return rendering.message(request, "Not available", str(error), status=503)


@app.exception_handler(ImageFeaturesError)
async def _failed(request: Request, error: ImageFeaturesError) -> HTMLResponse:
    """What no page has expected, such as a store that is away. Places and hosts are for those who may read the log."""
    log.warning("image features: %s: %s", request.url.path, error)
    text = f"This cannot be shown now ({type(error).__name__}). The log of Airflow's API server says why."
    return rendering.message(request, "Not available", text, status=503)


@app.exception_handler(NotShown)
async def _not_shown(request: Request, error: NotShown) -> HTMLResponse:
    return rendering.message(request, "Not published", str(error))
