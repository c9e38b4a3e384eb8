"""Sizes and ETags of S3 objects that a list names. Each may lie in a bucket of its own, which need not be there.

What is wrong with the name of one object is a row, and never the end of a run: a bucket that no store can have, that
does not exist, or whose own host name leads nowhere. A store that does not answer at all stays an outage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.reasons import Reason, printable
from imagefeatures.storage.objects import Listed, ObjectMissing
from imagefeatures.storage.retry import FailsAlone, SharedDeadline, Transient, with_retries, within
from imagefeatures.storage.s3_responses import PASSING, check_is_s3, error_text, status, translate_errors

STAT_THREADS = 16
"""How many objects one worker asks for at a time."""

ANSWER_SECONDS = 10.0
"""How long the store itself is waited for, where the host of one bucket cannot be reached."""

MAY_PASS = (404, 408, 409, 429)
"""The statuses from 400 to 499 that are left to translate_errors: it is not there, or another try may help."""


class NamedObjects:
    """The objects of one batch. client: boto3's. payer: the fields of a request whose sender pays.

    seconds: how long a request is repeated. others_succeed: whether another object can be read beside one that fails.
    """

    def __init__(
        self, client: Any, payer: Mapping[str, str], seconds: float, others_succeed: Callable[[str], bool]
    ) -> None:
        self._client, self._payer, self._seconds = client, payer, seconds
        self._others_succeed = others_succeed
        self._deadline = SharedDeadline()
        self._without_host: dict[str, Rejected] = {}

    def stat_all(self, paths: Sequence[str]) -> Iterator[Listed | ObjectMissing | Rejected]:
        """As Store.stat_all. paths: bucket and key."""
        with ThreadPoolExecutor(min(STAT_THREADS, max(len(paths), 1))) as pool:
            yield from pool.map(self._stat, paths)

    def _stat(self, path: str) -> Listed | ObjectMissing | Rejected:
        bucket, what = path.partition("/")[0], f"s3://{path}"
        if why := self._without_host.get(bucket):
            return why
        unreachable: list[str] = []

        def store_answers() -> bool:
            return self._endpoint_answers() if unreachable else self._others_succeed(path)

        try:
            once = partial(translate_errors, what, partial(self._head, path, unreachable))
            return with_retries(what, self._seconds, once, self._deadline, store_answers)
        except (ObjectMissing, Rejected) as missing_or_rejected:
            return missing_or_rejected
        except FailsAlone as alone:
            if not unreachable:
                return Rejected(Reason.NOT_READABLE, str(alone))
            why = Rejected(Reason.NOT_FOUND, f"the store answers, and not at {unreachable[0]}, its bucket's address")
            return self._without_host.setdefault(bucket, why)

    def _head(self, path: str, unreachable: list[str]) -> Listed:
        """unreachable: gets the host of the bucket alone, where it cannot be connected to; is emptied where it can."""
        from botocore.exceptions import (
            ClientError,
            ConnectionError,
            EndpointProviderError,
            HTTPClientError,
            ParamValidationError,
        )

        bucket, _, key = path.partition("/")
        unreachable.clear()
        try:
            response = self._client.head_object(Bucket=bucket, Key=key, **self._payer)
        except ClientError as error:
            self._raise_if_of_the_object(error)
            raise
        except (ParamValidationError, EndpointProviderError) as error:  # no request was sent
            raise Rejected(Reason.UNSUPPORTED_URL, f"no store can have this bucket ({printable(error)})") from None
        except (ConnectionError, HTTPClientError) as error:
            address = str(error.kwargs.get("endpoint_url") or "")
            if address and (host := urlsplit(address).netloc) != urlsplit(self._client.meta.endpoint_url).netloc:
                unreachable.append(host)
            raise
        check_is_s3(f"s3://{path}", "ETag" in response and "ContentLength" in response)
        return Listed(path, response["ContentLength"], response["ETag"].strip('"'))

    def _raise_if_of_the_object(self, error: Any) -> None:
        """Raise Rejected where an error response is of this object or its bucket alone. error: ClientError."""
        if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
            raise Rejected(Reason.NOT_FOUND, "there is no such bucket") from None
        number, said = status(error), error_text(error)
        if 300 <= number < 500 and number not in MAY_PASS and not PASSING.search(said):
            more = "" if said.startswith(str(number)) else f": {printable(said)}"  # a response to HEAD has no body
            raise Rejected(Reason.NOT_READABLE, f"the store does not let it be read ({number}{more})") from None

    def _endpoint_answers(self) -> bool:
        """Whether the store itself answers, be it with a refusal."""
        try:
            within(ANSWER_SECONDS, partial(translate_errors, "s3://", self._client.list_buckets))
        except (StoreRefused, ObjectMissing):
            return True
        except Transient:
            return False
        return True
