"""`make run`: two of one dataset wait for each other, and one that fails says why, whatever it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.run_partition import PREPARING_LINE, reasons
from imagefeatures.settings import REPOSITORY

HOLD = """
import subprocess, sys
from pathlib import Path
from deploy.local.run_partition import alone
with alone(Path(sys.argv[1]), sys.argv[2]) as lock:
    child = subprocess.Popen(["sleep", "1000"], pass_fds=[lock]) if sys.argv[3:] else None
    print("ready", child and child.pid, flush=True)
    sys.stdin.read(1)
"""


def holder(file: Path, what: str, *with_child: str) -> subprocess.Popen[str]:
    """A process that takes the lock, says so, and holds it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file), what, *with_child],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("x", timeout=20)


@pytest.mark.parametrize("ending", ["normal", "killed"])
def test_the_second_waits_and_names_the_first(tmp_path: Path, ending: str) -> None:
    first = holder(tmp_path / "lock", "run of fruit 2026-11-02")
    assert line(first).startswith("ready")
    second = holder(tmp_path / "lock", "run of fruit 2026-11-03")
    assert line(second) == f"waiting: another run of fruit 2026-11-02 (process {first.pid}) is under way"
    if ending == "killed":
        first.kill()
        first.wait()
    else:
        end(first)
    assert line(second).startswith("ready")
    third = holder(tmp_path / "lock", "run of fruit 2026-11-04")
    assert line(third) == f"waiting: another run of fruit 2026-11-03 (process {second.pid}) is under way"
    end(second)
    assert line(third).startswith("ready")
    end(third)


def test_what_is_done_to_prepare_the_model_is_found_in_the_log() -> None:
    log = """
2026-11-26T23:08:54Z [info     ] preparing the model: the weights of m, from /a b/c or by download … [prepare] loc=1
2026-11-26T23:08:55Z [info     ] preparing the model: the weights of m, from /a b/c or by download: 0.5 s [prepare]
2026-11-26T23:09:55Z [info     ] Done. Returned value was: None
preparing the model: the reference in Keras: 131.3 s
"""
    assert PREPARING_LINE.findall(log) == [
        "preparing the model: the weights of m, from /a b/c or by download …",
        "preparing the model: the weights of m, from /a b/c or by download: 0.5 s",
        "preparing the model: the reference in Keras: 131.3 s",
    ]


def test_datasets_do_not_wait_for_each_other(tmp_path: Path) -> None:
    fruit, birds = holder(tmp_path / "run-fruit.lock", "fruit"), holder(tmp_path / "run-birds.lock", "birds")
    assert line(fruit).startswith("ready")
    assert line(birds).startswith("ready")
    end(fruit)
    end(birds)


def test_a_run_whose_make_was_killed_is_waited_for_too(tmp_path: Path) -> None:
    first = holder(tmp_path / "lock", "run of fruit 2026-11-02", "with a child")
    child = int(line(first).split()[1])
    first.kill()
    first.wait()
    second = holder(tmp_path / "lock", "run of fruit 2026-11-03")
    try:
        assert line(second) == f"waiting: another run of fruit 2026-11-02 (process {first.pid}) is under way"
    finally:
        os.kill(child, 9)
    assert line(second).startswith("ready")
    end(second)


TRACEBACK = """
2026-11-26T23:01:02.1Z [error    ] Task failed with exception     [task] loc=task_runner.py:1700
Traceback (most recent call last):
  File "pathlib.py", line 1116, in mkdir
    os.mkdir(self, mode)
FileNotFoundError: [Errno 2] No such file or directory: '/cache/weights'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "weights.py", line 10, in load_weights
    raise
{last}
2026-11-26T23:01:03.1Z [info     ] ::endgroup::                   [task] loc=task_runner.py:2379
"""
SPARK_FAILED = "airflow.exceptions.AirflowException: Cannot execute: spark-submit ingest.py. Error code is: 1."


@pytest.mark.parametrize(
    "last",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: '/cache'",
        "KeyError: 'x'",
        "MemoryError",
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) disk I/O error",
        "subprocess.TimeoutExpired: Command 'x' timed out after 5 seconds",
        "KeyboardInterrupt",
    ],
)
def test_the_last_line_of_any_exception_is_the_reason(last: str) -> None:
    name = last.rpartition(".exc.")[2].removeprefix("subprocess.")
    said = reasons(TRACEBACK.format(last=last).splitlines())
    assert said[-1] == name


def test_an_error_of_ours_is_the_reason_and_the_failed_job_is_none() -> None:
    job = "2026-11-26T23:01:02.1Z [info     ] {said} [SparkSubmitHook] loc=spark_submit.py:700"
    for said in ("ingest: NoInput: NO_INPUT: nothing is there", "resize: OSError: [Errno 5] Input/output error"):
        log = job.format(said=said) + TRACEBACK.format(last=SPARK_FAILED)
        assert reasons(log.splitlines())[0].startswith(said.partition(": ")[2])
    ours = TRACEBACK.format(
        last="imagefeatures.errors.CatalogRefused: sqlite database /lake/catalog.db: it is read only"
    )
    assert reasons(ours.splitlines())[-1] == "CatalogRefused: sqlite database /lake/catalog.db: it is read only"


def test_lines_of_a_run_that_goes_well_are_no_reasons() -> None:
    log = "ingest: 6 images in, 6 on, 4 shards (0 done before)\nINFO: Nothing\n  KeyError: inside\nregistered: f.a b"
    assert reasons(log.splitlines()) == []
