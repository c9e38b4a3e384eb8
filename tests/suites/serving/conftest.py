"""Real model servers of the default model, started at their first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagefeatures.layout import model_folder
from imagefeatures.settings import REPOSITORY
from support.real_model_servers import RealServer
from support.servers import free_port
from support.shared import PREPROCESSING, SPEC


@pytest.fixture(scope="module")
def real_server(prepared_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RealServer]]:
    """real_server(kind): started at its first use, stopped with the module."""
    folder = Path(model_folder(prepared_lake, SPEC.fingerprint(PREPROCESSING)).removeprefix("file://"))
    running: dict[str, RealServer] = {}

    def start(kind: str) -> RealServer:
        if kind == "triton" and not (REPOSITORY / ".bench" / "triton" / "bin" / "python").exists():
            pytest.skip("nvidia-pytriton brings Triton for the Python of Debian 12 alone")
        if kind not in running:
            state = tmp_path_factory.mktemp(kind) / "state"
            running[kind] = RealServer(kind, folder / "model.xml", state, free_port())
            running[kind].says("1")
            running[kind].start()
        return running[kind]

    yield start
    for server in running.values():
        server.kill()
