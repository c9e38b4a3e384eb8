"""Fixtures of all tests: a deployment of the test's own, planned runs, S3 servers, the prepared model."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from imagefeatures import images, layout, storage
from imagefeatures.datasets import Dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings
from support import servers
from support.scripted_store import ScriptedStore, scripted_store
from support.shared import AWS, BUCKET, PARTITION, PREPROCESSING, SPEC, MakeRun

SHARED_AIRFLOW = {"integration", "web"}
"""Folders of tests whose fixtures start one Airflow for all of them."""

# Airflow reads these when it is first imported, and then writes files into its home.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="imagefeatures-airflow-")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes (`make test`) the tests of a real Airflow come first: they take longest, and mostly wait."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.parent.name != "integration")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file stay in one process, and so do those of a folder that share an Airflow."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder.rpartition("/")[2] in SHARED_AIRFLOW else file

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _pillow() -> None:
    """Pillow as the decode process has it: tests decode in their own process too."""
    images.configure_pillow()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment of the test's own, set in the environment as well. Lake, catalog and datasets folder are empty."""
    lake, datasets = tmp_path / "lake", tmp_path / "datasets"
    lake.mkdir()
    datasets.mkdir()
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{lake}")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{lake}/catalog.db?timeout=60")
    monkeypatch.setenv("IMAGEFEATURES_DATASETS", str(datasets))
    return Settings.from_env()


@pytest.fixture(scope="session")
def _postgres() -> Iterator[str]:
    """One PostgreSQL for the session, started by the first test that needs it. Yields its URL without a database."""
    with servers.postgres() as server:
        yield server


@pytest.fixture
def make_database(_postgres: str) -> Callable[..., str]:
    """make_database(password=None): URL of a new, empty PostgreSQL database. With a password it has its own owner."""
    return functools.partial(servers.new_database, _postgres)


@pytest.fixture
def make_run(settings: Settings) -> MakeRun:
    """make_run(source, params={…}, partition=…, **fields of the dataset file): a run with its run.json in the lake.

    source: a folder, or what a dataset file may have as its source.
    """

    def make(source: Path | str | dict, params: dict | None = None, partition: str = PARTITION, **fields: Any) -> Run:
        uri = f"file://{source}/" if isinstance(source, Path) else source
        dataset = Dataset.model_validate({"name": "photos", "source": uri, **fields})
        return load_run(plan_run(dataset, RunParams.parse(params or {}), partition, settings))

    return make


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[str]:
    """One moto server for the session, on a free port. Yields its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else every failing test prints the request log
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """AWS_* variables without any real account, and no client kept from another test."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # a cloud machine would offer credentials
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it caches the credentials that it found
    storage._store.cache_clear()
    yield monkeypatch
    storage._store.cache_clear()


@pytest.fixture(scope="session")
def _s3_session() -> Any:
    """One boto3 session for all tests: a new session reads its service models from disk, which takes 0.1 s."""
    import boto3

    return boto3.Session(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"], region_name=AWS["AWS_DEFAULT_REGION"])


@pytest.fixture
def s3(_s3_server: str, _s3_session: Any, aws_env: pytest.MonkeyPatch) -> Any:
    """A boto3 client of an S3 server that holds one empty bucket, BUCKET; the environment points at it."""
    aws_env.setenv("AWS_ENDPOINT_URL", _s3_server)
    aws_env.setattr("boto3.DEFAULT_SESSION", _s3_session)
    with urlopen(Request(f"{_s3_server}/moto-api/reset", method="POST")):
        pass
    client = _s3_session.client("s3", endpoint_url=_s3_server)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def scripted(aws_env: pytest.MonkeyPatch) -> Iterator[ScriptedStore]:
    """An HTTP server that gives scripted answers. The environment names it as the S3 endpoint."""
    with scripted_store() as server:
        aws_env.setenv("AWS_ENDPOINT_URL", server.address)
        yield server


@pytest.fixture(scope="session")
def _real_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], servers.Server]]:
    """Starts MinIO or rclone by name, at its first use. Both end with the session."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def start(name: str) -> servers.Server:
            folder = tmp_path_factory.mktemp(name)
            (folder / BUCKET).mkdir()  # rclone serves a folder as a bucket; so does MinIO at its first start
            return running.enter_context(getattr(servers, name)(folder))

        yield start


@pytest.fixture(params=["file", "moto", "rclone", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder's URI, once in each kind of store; the environment points at it."""
    if request.param == "file":
        return f"file://{tmp_path}/root"
    if request.param == "moto":
        request.getfixturevalue("s3")
    else:
        server = request.getfixturevalue("_real_stores")(request.param)
        aws_env = request.getfixturevalue("aws_env")
        aws_env.setenv("AWS_ENDPOINT_URL", server.address)
        aws_env.setattr("boto3.DEFAULT_SESSION", request.getfixturevalue("_s3_session"))
    return f"s3://{BUCKET}/{tmp_path.name}-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """The settings' folder of downloaded weights. All tests share it; it is filled once per machine."""
    return Settings.from_env({"IMAGEFEATURES_CACHE": os.environ.get("IMAGEFEATURES_CACHE", "")}).cache


@pytest.fixture(scope="session")
def prepared_lake(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path) -> str:
    """URI of a lake that holds the prepared model. Read only: a test that writes uses `lake_with_model`."""
    from imagefeatures.models.prepare import prepare

    lake = f"file://{tmp_path_factory.mktemp('prepared')}"
    prepare(SPEC, PREPROCESSING, lake, weights_cache)
    return lake


@pytest.fixture
def lake_with_model(settings: Settings, prepared_lake: str) -> str:
    """The test's own lake, with the prepared model in it."""
    models = Path(layout.model_folder(settings.lake, "any").removeprefix("file://")).parent
    shutil.copytree(Path(prepared_lake.removeprefix("file://")) / models.name, models)
    return settings.lake


@pytest.fixture(params=["VNNI", "AVX2"])
def instructions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways in which the compiled filter sums."""
    from imagefeatures import bicubic

    if bicubic.compiled is None:
        pytest.skip("it is not compiled here: Pillow resizes")
    wanted = request.param == "VNNI"
    if bicubic.compiled.vnni(wanted) != wanted:
        pytest.skip("this processor has no VNNI")
    yield
    bicubic.compiled.vnni(True)
