"""The protocol that an engine names."""

from __future__ import annotations

from imagefeatures.models.serving.client import Client
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.kserve import KServe
from imagefeatures.models.serving.predict import Predict
from imagefeatures.models.serving.server import Server


def connect(engine: ServedEngine, client: Client) -> Server:
    """The server of an engine, not asked yet."""
    return KServe(engine, client) if engine.protocol == "kserve" else Predict(engine, client)
