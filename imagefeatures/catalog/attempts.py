"""How often a commit that lost a race is tried again, and a creation that another run made at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyiceberg.exceptions import CommitFailedException, ValidationException
from sqlalchemy.exc import DBAPIError, IntegrityError
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random, wait_random_exponential

DUPLICATE_TABLE = "42P07"
"""PostgreSQL's code of that creation."""

T = TypeVar("T")


def unless_made_meanwhile(make: Callable[[], T]) -> T:
    """Repeat a creation that failed because another run created the same catalog table or row at the same moment.

    "CREATE TABLE IF NOT EXISTS" would not help: in PostgreSQL it fails when two sessions run it at once.
    """

    def made_meanwhile(error: BaseException) -> bool:
        if isinstance(error, IntegrityError):  # the row; or PostgreSQL's own row for a table or its type
            return True
        original = isinstance(error, DBAPIError) and error.orig
        return getattr(original, "sqlstate", None) == DUPLICATE_TABLE or "already exists" in str(original)

    attempts = Retrying(
        retry=retry_if_exception(made_meanwhile), wait=wait_random(0, 0.2), stop=stop_after_attempt(10), reraise=True
    )
    return attempts(make)


def until_committed(swap: Callable[[], T]) -> T:
    """Repeat a swap whose commit lost a race. Each attempt reads the table again."""
    attempts = Retrying(
        retry=retry_if_exception_type((CommitFailedException, ValidationException)),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_attempt(20),
        reraise=True,
    )
    return attempts(swap)
