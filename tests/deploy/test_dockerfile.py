"""What the image is built from: each layer has the files that it runs. `make test-compose` builds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.settings import REPOSITORY
from support.resizing import has_compiler

DOCKERFILE = (REPOSITORY / "deploy" / "compose" / "Dockerfile").read_text(encoding="utf-8")


def lay_out(folder: str, target: Path) -> None:
    """Copy to a folder what the image has in a folder of its own."""
    for line in DOCKERFILE.replace("\\\n", " ").splitlines():
        if line.startswith("COPY ") and line.split()[-1].startswith(folder):
            *patterns, to = line.split()[1:]
            place = target / to.removeprefix(folder)
            place.mkdir(parents=True, exist_ok=True)
            for pattern in patterns:
                found = list(REPOSITORY.glob(pattern))
                assert found, f"the image is to have {pattern}, and there is none"
                for path in found:
                    shutil.copy2(path, place)


def test_what_makes_sparks_archives_needs_no_other_file_of_this_repository(tmp_path: Path) -> None:
    lay_out("/tmp/start/", tmp_path)
    code = (
        "import sys; from deploy.local.spark_start import make\n"
        "ours = [name for name in sys.modules if name.partition('.')[0] in ('deploy', 'imagefeatures')]\n"
        "print(*sorted(str(sys.modules[name].__file__) for name in ours), sep=chr(10))"
    )
    assert "from deploy.local.spark_start import make" in DOCKERFILE
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loaded = [Path(line) for line in ran.stdout.splitlines()]
    assert {path.relative_to(tmp_path).as_posix() for path in loaded} >= {"deploy/local/spark_start.py"}


@pytest.mark.skipif(not has_compiler(), reason="no C compiler or no headers: the compiled part is optional")
def test_the_compiled_part_is_built_from_what_the_layer_has(tmp_path: Path) -> None:
    lay_out("/tmp/compiled/", tmp_path)
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    env = {**os.environ, "CFLAGS": "-O0"}
    built = subprocess.run(build, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert [path.name.partition(".")[0] for path in tmp_path.glob("imagefeatures/*.so")] == ["_bicubic"], built.stderr
