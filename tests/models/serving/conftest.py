"""A model server of the tests' own, and a spec for its model."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from imagefeatures.models.engines.serving import Serving
from imagefeatures.models.serving import settle
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.models.spec import ModelSpec
from imagefeatures.settings import Settings
from support.model_servers import ModelServer, serving

Plan = Callable[..., tuple[ServedEngine, ModelSpec]]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, and with a proxy that nothing must ask."""
    for name in ("IMAGEFEATURES_SERVING_TOKEN", "IMAGEFEATURES_SERVING_TOKEN_FILE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as running:
        yield running


@pytest.fixture
def plan(server: ModelServer, settings: Settings) -> Plan:
    """plan(protocol="kserve", model={…}, **fields of the engine): the engine, and the spec that plan settles."""

    def planned(protocol: str = "kserve", model: Any = None, **fields: Any) -> tuple[ServedEngine, ModelSpec]:
        engine = ServedEngine.model_validate(server.engine(protocol, **({"deadline": 5} | fields)))
        own = ServedModel.model_validate({"name": "birds_v1"} | (model or {}))
        return engine, settle.settle(engine, own, settings.lake)

    return planned


@pytest.fixture
def loaded(plan: Plan, settings: Settings) -> Callable[..., Serving]:
    """loaded(…) as `plan`: the engine as a worker has it."""

    def load(protocol: str = "kserve", **fields: Any) -> Serving:
        engine, spec = plan(protocol, **fields)
        golden = np.load(io.BytesIO(settle.recorded(spec, settings.lake)))
        found = Serving(engine, spec, golden)
        found.trust_errors_less()
        return found

    return load
