"""The model that is measured: the default one."""

from __future__ import annotations

from imagefeatures.models import prepare
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.engines import Bundle
from imagefeatures.settings import Settings

MODEL = BACKBONES[DEFAULT]
FINGERPRINT = MODEL.fingerprint(MODEL.preprocessing)


def prepare_model(settings: Settings) -> None:
    """Make sure that the lake holds the model."""
    prepare.prepare(MODEL, MODEL.preprocessing, settings.lake, settings.cache)


def read_bundle(lake: str) -> Bundle:
    """The model's files out of the lake."""
    return prepare.read_bundle(MODEL, MODEL.preprocessing, lake)
