"""An Airflow and a Spark of a user's own: an environment with the lock and the wheel, and nothing of the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imagefeatures.settings import REPOSITORY
from support.photos import jpeg
from support.snippets import sections

DAYS = ("2026-11-01", "2026-11-02")
PHOTOS = 12
DOCUMENT = REPOSITORY / "docs" / "deploying.md"
DAG_FILES = [code for part in sections(DOCUMENT) for language, code in part.blocks if language == "py"]
"""The DAG files that the document shows: the one that makes the DAGs, and the one that reports malformed files."""
DATASETS_IN_DOCUMENT = "/etc/imagefeatures/datasets"
PASSED_ON = ("HOME", "LANG", "JAVA_HOME", "TMPDIR")


@dataclass(frozen=True)
class OwnAirflow:
    """The folder with all of it: `environment`, `dags`, `datasets`, `photos`, `lake`, `home` (Airflow's own).

    cache: the folder of downloaded weights.
    """

    folder: Path
    cache: Path

    @property
    def bin(self) -> Path:
        return self.folder / "environment" / "bin"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def variables(self, home: Path, port: int) -> dict[str, str]:
        """What such a deployment sets: its own Airflow's settings, the lake, and where weights are kept."""
        address = f"http://127.0.0.1:{port}"
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
            "PATH": os.pathsep.join([str(self.bin), "/usr/local/bin", "/usr/bin", "/bin"]),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",
            "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "24",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "IMAGEFEATURES_LAKE": f"file://{self.folder}/lake",
            "IMAGEFEATURES_CACHE": str(self.cache),
        }

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in the folder. more: variables on top of those of `variables`."""
        env = self.variables(self.home, 0) | more
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]], env=env, cwd=self.folder, capture_output=True, text=True
        )


def install(folder: Path, cache: Path) -> OwnAirflow:
    """Build the wheel, and install it on top of the lock into an empty environment."""
    wheels = folder / "wheels"
    subprocess.run([str(REPOSITORY / "scripts" / "wheel"), sys.executable, str(wheels)], check=True)
    environment = folder / "environment"
    _uv("venv", "--python", sys.executable, str(environment))
    into = ("pip", "install", "--no-deps", "--python", str(environment / "bin" / "python"))
    _uv(*into, "-r", str(REPOSITORY / "requirements.txt"))
    (wheel,) = wheels.glob("*.whl")
    _uv(*into, str(wheel))
    return OwnAirflow(folder, cache)


def lay_out(own: OwnAirflow) -> None:
    """The user's files: a DAG file of three lines, another of three that reports, two dataset files, drawn photos."""
    for name in ("dags", "datasets"):
        (own.folder / name).mkdir()
    for name, text in zip(("image_features", "malformed_datasets"), DAG_FILES, strict=True):
        file = own.folder / "dags" / f"{name}.py"
        file.write_text(text.replace(DATASETS_IN_DOCUMENT, str(own.folder / "datasets")))
    source = f"file://{own.folder}/photos/{{partition}}/"
    (own.folder / "datasets" / "birds.yaml").write_text(f"name: birds\nsource: {source}\n")
    (own.folder / "datasets" / "bad.yaml").write_text(f"name: bad\nsource: {source}\nlimts: {{}}\n")
    for day, partition in enumerate(DAYS):
        for number in range(PHOTOS):
            file = own.folder / "photos" / partition / ("robin", "wren")[number % 2] / f"{number:02d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg(day * PHOTOS + number))


def _uv(*words: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    uv = shutil.which("uv", path=path)
    assert uv, "uv makes the environment; `make setup` installs it where it can be had"
    subprocess.run([uv, *words, "--quiet"], check=True)
