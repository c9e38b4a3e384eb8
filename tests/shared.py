"""Names that the tests and their fixtures share."""

from __future__ import annotations

from collections.abc import Callable

from imagefeatures.plan import Run

MODEL = "mobilenet_v2"
PARTITION = "2026-11-02"
BUCKET = "images"
"""The bucket that exists in the `s3` fixture's server."""

AWS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}

MakeRun = Callable[..., Run]
