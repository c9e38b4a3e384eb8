"""Threads of the page's own, for what blocks: dataset files, Airflow's database, templates.

Airflow's API server runs all its synchronous routes in one pool of 40 threads. A page that took threads of that pool
and waited in them would stop every other route. So each route of the page is a coroutine, and what blocks runs here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from imagefeatures_airflow.web.published import Unavailable

THREADS = 4
PAGE_SECONDS = 20.0
"""How long a view waits for its turn and its work before the page says that it cannot be shown."""

T = TypeVar("T")

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="image features page")

OF_THUMBNAILS = ThreadPoolExecutor(THREADS, thread_name_prefix="image features thumbnail")
"""Threads that wait for stores and for the decode process. A page with sixty photos does not keep others waiting."""


async def in_thread(work: Callable[[], T], pool: ThreadPoolExecutor = _pool) -> T:
    """Do the work in one of the page's threads. Raises Unavailable after PAGE_SECONDS, and what `work` raises."""
    try:
        async with asyncio.timeout(PAGE_SECONDS):
            run = contextvars.copy_context().run  # as asyncio.to_thread does
            return await asyncio.get_running_loop().run_in_executor(pool, run, work)
    except TimeoutError:
        raise Unavailable(
            f"The page cannot be shown now: it was not ready after {PAGE_SECONDS:.0f} s. Airflow's database, the "
            "folder of dataset files or the machine is too slow."
        ) from None
