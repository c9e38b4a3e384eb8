"""The run parameters of `make run`, from its variables: `make run DATASET=fruit MAX_REJECTED=1`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from imagefeatures.errors import ParamsError
from imagefeatures.run_params import RunParams

VARIABLES = {name.upper(): name for name in RunParams.model_fields if name != "partition"}
"""Each variable, and the run parameter that it sets."""

OTHERS = ("DATASET", "PARTITION", "PYTHON", "VENV")
SETTINGS = ("IMAGEFEATURES_", "AWS_", "AIRFLOW", "SPARK_", "PYSPARK_", "JAVA_", "PYICEBERG_")
"""How the variables begin that the run's processes read by themselves."""


def run_parameters(env: Mapping[str, str]) -> dict[str, str]:
    """The run parameters that the variables set, as texts. Raises ParamsError for one that is none, by its name.

    env: the environment of a command that make has started. An unknown variable is refused only where it was written
    on make's own command line: the environment is full of others.

    >>> run_parameters({"MAX_REJECTED": "1", "HOME": "/root"})
    {'max_rejected': '1'}
    """
    for name in _on_the_command_line(env.get("MAKEFLAGS", "")):
        if name not in (*VARIABLES, *OTHERS) and not name.startswith(SETTINGS):
            near = difflib.get_close_matches(name.upper().replace("-", "_"), VARIABLES, 1)
            known = f"did you mean {near[0]}?" if near else f"there are {', '.join(VARIABLES)}"
            raise ParamsError(f"{name}: not a run parameter; {known}")
    return {field: env[name] for name, field in VARIABLES.items() if env.get(name)}


def _on_the_command_line(flags: str) -> list[str]:
    """The names of the variables in make's MAKEFLAGS. A space inside a value has a backslash before it.

    >>> _on_the_command_line("s -j2 -- PARTITION=2026-11-02 NOTE=a\\\\ B=c")
    ['PARTITION', 'NOTE']
    """
    _, separator, variables = f" {flags}".partition(" -- ")
    return re.findall(r"(?<!\\)(?:^|(?<=\s))(?<!\\ )([^\s=:+?]+)[:+?]*=", variables) if separator else []
