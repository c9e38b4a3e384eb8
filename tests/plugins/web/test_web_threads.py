"""The page's own threads: whose they are, what comes back from them, and how long a view waits for one."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from imagefeatures_airflow.web import threads
from imagefeatures_airflow.web.published import Unavailable

CALLER = contextvars.ContextVar("CALLER", default="nobody")


def test_work_is_done_in_a_thread_of_the_page_with_the_context_of_its_view() -> None:
    def work() -> tuple[str, str]:
        return threading.current_thread().name, CALLER.get()

    async def view() -> tuple[str, str]:
        CALLER.set("a view")
        return await threads.in_thread(work)

    thread, caller = asyncio.run(view())
    assert thread.startswith("image features page")
    assert caller == "a view"


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise KeyError("dataset")

    with pytest.raises(KeyError, match="dataset"):
        asyncio.run(threads.in_thread(work))


def test_a_view_whose_work_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PAGE_SECONDS", 0.6)
    enough = threading.Event()
    try:
        with pytest.raises(
            Unavailable, match=r"it was not ready after 1 s\. Airflow's database, the folder of dataset"
        ):
            asyncio.run(threads.in_thread(lambda: enough.wait(60)))
    finally:
        enough.set()
