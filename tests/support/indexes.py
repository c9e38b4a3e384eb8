"""What the tests of the index of a table's files have in common."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from imagefeatures.forget import pending
from imagefeatures.forget.pending import Pending

EACH = 5


def one_by_one(work: Any, elements: Any) -> list[Any]:
    return [work(element) for element in elements]


def ids_of(number: int) -> list[str]:
    return [hashlib.sha256(f"{number} {at}".encode()).hexdigest() for at in range(EACH)]


def pending_request(lake: str) -> Pending:
    request = Pending("r1", frozenset(), frozenset(), "ada", "asked", dt.datetime.now(dt.UTC))
    pending.keep(lake, request)
    return request
