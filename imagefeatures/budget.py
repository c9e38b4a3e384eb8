"""The failure budget: how many of a run's objects may be rejected before the run stops."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from imagefeatures.errors import TooManyRejected
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason, printable, without_secrets
from imagefeatures.settings import program
from imagefeatures.shards import read_receipts, read_staged
from imagefeatures.steps import INGEST, VALIDATE


def check_budget(run: Run) -> None:
    """Raise TooManyRejected when ingest and validate together have rejected more than the budget allows."""
    receipts = [*read_receipts(run.layout, INGEST), *read_receipts(run.layout, VALIDATE)]
    listed = sum(receipt.rows_in for receipt in receipts if receipt.step == INGEST)
    refuse_if_spent(run, listed, [read_staged(r.rejected) for r in receipts if r.rejected])


def refuse_if_spent(run: Run, listed: int, rejected: list[pa.Table]) -> None:
    """Raise TooManyRejected when the budget is exceeded: counts by reason, the first URIs, why the first is rejected.

    listed: number of the run's objects. rejected: tables of schemas.REJECTED.
    """
    reasons = Counter(reason for table in rejected for reason in table["reason"].to_pylist())
    allowed = run.dataset.limits.max_rejected
    if reasons.total() - reasons[Reason.FORGOTTEN] <= allowed * listed:  # which says nothing of the source
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    examples = [uri for table in rejected for uri in table["uri"].to_pylist()[:10]][:10]
    why = next(detail for table in rejected for detail in table["detail"].to_pylist())
    raise TooManyRejected(
        f"{reasons.total()} of {listed} objects rejected, limits.max_rejected allows {allowed:.1%}: {counts}; "
        f"first: {', '.join(printable(without_secrets(uri)) for uri in examples)}; why the first: {printable(why)}; "
        f"to publish the others without them: the run parameter max_rejected, up to 1; "
        f"all of them: {program()} rejected {run.dataset.name} {run.partition}"
    )
