"""Which failures are worth a retry."""

from __future__ import annotations

import re

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule
from airflow.sdk.definitions.context import Context

from imagefeatures.errors import EXIT_INPUT_ERROR

_REFUSED = re.compile(rf"Error code is: {EXIT_INPUT_ERROR}\b")


class RefuseInputErrors(ExceptionRetryPolicy):
    """Fails a task at once on an `InputError`. A Spark job reports one by its exit status."""

    def __init__(self) -> None:
        super().__init__(rules=[RetryRule("imagefeatures.errors.InputError", RetryAction.FAIL, reason="input error")])

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        if _REFUSED.search(str(exception)):
            return RetryDecision.fail("input error in the Spark job; its last line says which")
        return super().evaluate(exception, try_number, max_tries, context)
