"""The model that is measured: the default one."""

from __future__ import annotations

from imagefeatures.models import prepare
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.engines import Bundle
from imagefeatures.settings import Settings

MODEL = BACKBONES[DEFAULT]
FINGERPRINT = MODEL.fingerprint(MODEL.preprocessing)


def prepare_model(settings: Settings) -> None:
    """Write the model into the lake, unless it is there."""
    prepare.prepare(MODEL, MODEL.preprocessing, settings.lake, settings.cache)


def read_bundle(lake: str) -> Bundle:
    """Read the model's files from the lake."""
    return prepare.read_bundle(MODEL, MODEL.preprocessing, lake)
