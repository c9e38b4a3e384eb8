"""The process that parses a stranger's model: a crash of a parser, or all of the memory gone, is one line here.

It holds no credentials: of the environment it has what Python needs to start. Its folder goes away with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.own import checks
from imagefeatures.models.own.child import FILES, MADE, Request, Result
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.describe import Described, Facts
from imagefeatures.models.own.files import ModelFiles
from imagefeatures.models.spec import ModelSpec
from imagefeatures.preprocessing.bands import Channels

SECONDS = 1800
"""The longest that a file may take: a large Keras model is built, converted and computed in one."""

PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from imagefeatures.models.own import child; child.main(sys.argv[1])"

INHERITED = ("LD_LIBRARY_PATH", "PATH")
"""Environment variables that Python may need to start at all."""


def describe(files: ModelFiles, architecture: str | None = None) -> Described:
    """What a file says of its input and of where it can be cut. Raises ModelMismatch when it cannot be used.

    architecture: name of the backbone whose weights the file holds, for a file that does not say what it is.
    """
    described = _run(Request(format=files.format, main=files.main, architecture=architecture), files)[0].described
    assert described  # noqa: S101 - what was asked for
    return described


def settle(model: OwnModel, files: ModelFiles, channels: Channels | None = None) -> Facts:
    """The facts of the model's spec. channels: of the pictures, where they are not RGB.

    Raises ModelMismatch when file and fields do not fit, or it cannot be used."""
    request = Request(
        format=files.format,
        main=files.main,
        architecture=model.architecture,
        size=model.size,
        model=model,
        channels=channels,
    )
    facts = _run(request, files)[0].facts
    assert facts  # noqa: S101 - what was asked for
    return facts


def build(spec: ModelSpec, files: ModelFiles) -> dict[str, bytes]:
    """The engines' files and the golden vectors, by name. Raises ModelMismatch when the file cannot be used."""
    known = {backbone.architecture: name for name, backbone in BACKBONES.items()}
    architecture = known[spec.architecture] if spec.architecture else None
    size = spec.input_shape[:2]
    request = Request(format=files.format, main=files.main, architecture=architecture, size=size, spec=spec)
    return _run(request, files)[1]


def _run(request: Request, files: ModelFiles) -> tuple[Result, dict[str, bytes]]:
    checks.check(files)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-model-") as name:
        folder = Path(name)
        files.write(folder / FILES)
        (folder / "request.json").write_text(request.model_dump_json(), encoding="utf-8")
        try:
            ended = subprocess.run(  # noqa: S603 - this interpreter and code of our own
                [sys.executable, "-I", "-c", PROGRAM, name, *sys.path],
                env=_environment(folder), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise _refused(files, f"reading it took longer than {SECONDS} seconds") from None
        if (refused := folder / "refused.txt").is_file():
            raise _refused(files, refused.read_text(encoding="utf-8"))
        if not (result := folder / "result.json").is_file():
            raise _refused(files, _cause_of_death(ended))
        made = {path.name: path.read_bytes() for path in sorted((folder / MADE).glob("*"))}
        return Result.model_validate_json(result.read_bytes()), made


def _refused(files: ModelFiles, why: str) -> ModelMismatch:
    return ModelMismatch(f"model: {files.uri}: {' '.join(why.split())}")


def _cause_of_death(ended: subprocess.CompletedProcess[bytes]) -> str:
    if ended.returncode == -signal.SIGKILL:
        return "the process that read it was killed by the system, most likely for its memory"
    if ended.returncode < 0:
        return f"the process that read it crashed ({signal.Signals(-ended.returncode).name}): the file is broken"
    last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["without a word"]
    return f"the process that read it ended with status {ended.returncode} ({last[0][:300]})"


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # Libraries put caches and settings into the home folder; the reference is computed on the CPU.
    own = {"HOME": str(folder), "TMPDIR": str(folder), "KERAS_HOME": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    return kept | own | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "LANG": "C.UTF-8"}
