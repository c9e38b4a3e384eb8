"""The checks of `imagefeatures check-store`: what a store does, tested in a fresh folder that is removed at the end.

The pipeline relies on what the *needed* checks test; without a *nice* feature it runs at a cost. A check uses
`imagefeatures.storage`, as the pipeline does, or a bare client where `storage` would hide the store's response.
The checks measure no speed, and show only the moment: a store behind a cache may behave differently under load.

    workspace  the folder that the checks write to
    common     the checks of every store
    s3         the checks of S3 alone
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError, StoreRefused
from imagefeatures.storage.checks import common, s3
from imagefeatures.storage.checks.workspace import Workspace
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing

CHECKS = [*common.CHECKS, *s3.CHECKS]
"""In the order in which they run."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check. seen: what was seen instead, for a no. costs: what a no costs the pipeline."""

    name: str
    needed: bool
    yes: bool
    seen: str
    costs: str


def check_store(uri: str) -> Iterator[CheckResult]:
    """Run every check in a bucket or a folder (`s3://…`, `file:///…`). Yields each result as soon as it is known.

    Raises StoreRefused (missing bucket or folder, wrong credentials) before the first result; StoreError when the
    store does not answer at all, or when the workspace could not be removed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    failures = (ClientError, BotoCoreError, ImageFeaturesError, ObjectMissing, ObjectChanged)
    workspace = Workspace(f"{uri if uri.endswith('/') else uri + '/'}imagefeatures-check-{secrets.token_hex(6)}")
    if uri.startswith("file://") and not Path(uri.removeprefix("file://")).is_dir():
        raise StoreRefused(f"{uri}: there is no such folder")  # a write would create it
    next(storage.list_objects(uri), None)  # raises StoreRefused for a missing bucket or wrong credentials
    try:
        try:
            storage.write(workspace("hello"), b"")
        except (ObjectMissing, ObjectChanged) as error:
            raise StoreRefused(f"{uri}: the store accepts no object there ({error})") from None
        for check in CHECKS:
            if check.s3_only and not workspace.is_s3:
                continue
            try:
                seen = check.run(workspace)
            except failures as error:
                seen = f"{type(error).__name__}: {error}"
            yield CheckResult(check.name, check.needed, not seen, seen, check.costs)
    finally:
        workspace.remove()
