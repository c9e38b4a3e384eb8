"""How a job starts Spark, and how it ends: its exit status and its last line."""

from __future__ import annotations

import io
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pyspark import SparkConf

from imagefeatures import names, steps, stops
from imagefeatures.errors import AuditFailed, StoreError
from imagefeatures.plan import Run
from imagefeatures_spark import distribute
from support.lists_as_spark import Context
from support.photos import fill
from support.shared import MakeRun

ENDED = tuple[int, str]
"""A job's exit status and what it has printed."""


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    return make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., ENDED]:
    """job(arguments, work, context): the step "ingest" with lists in place of Spark. It ends no process."""

    def exit_with(status: int) -> NoReturn:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", exit_with)

    def call(arguments: list[str], work: Callable[[Any, Run], None], context: Context | None = None) -> ENDED:
        monkeypatch.setattr(sys, "argv", ["ingest.py", *arguments])
        monkeypatch.setattr(distribute, "_start", lambda name, fixed: context or Context())
        with pytest.raises(SystemExit) as ended:
            distribute.main("ingest", work)
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return call


@pytest.mark.parametrize("step", steps.SPARK_STEPS)
def test_a_script_does_its_own_step_and_its_import_does_none(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(distribute, "main", lambda *given: called.append(given))
    path = str(Path(distribute.__file__).with_name(f"{step}.py"))
    runpy.run_path(path)
    assert called == []
    script = runpy.run_path(path, run_name="__main__")
    assert called == [(step, script["work"])]


def raising(error: Exception) -> Callable[..., None]:
    def work(*_: object) -> NoReturn:
        raise error

    return work


def test_a_job_does_its_work_stops_spark_and_ends_well(job: Any, run: Run) -> None:
    context, done = Context(), []
    assert job(["--run", run.layout.run_file], lambda *given: done.append(given), context) == (0, "")
    assert done == [(context, run)]
    assert context.stopped


def test_what_stops_a_job_is_kept_with_the_run(job: Any, run: Run) -> None:
    job(["--run", run.layout.run_file], raising(AuditFailed("listing.json has changed")))
    assert stops.last(run.layout) == stops.Stop("ingest", "AuditFailed", "listing.json has changed")


def test_spark_knows_a_job_by_dataset_partition_and_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(sys, "argv", ["ingest.py", "--run", run.layout.run_file])
    monkeypatch.setattr(distribute, "_start", lambda name, fixed: started.append(name) or Context())
    monkeypatch.setattr(os, "_exit", lambda status: None)
    distribute.main("ingest", lambda *_: None)
    assert started == ["photos 2026-11-02 ingest"]


JAVA = """Py4JJavaError: An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times: Traceback:
  File "worker.py", line 1, in main
imagefeatures.errors.{first}: of the first attempt

    imagefeatures.errors.{last}: file:///lake/part-0: is not what was written: 7 bytes
        at org.apache.spark.api.python.BasePythonRunner.run(PythonRunner.scala)
"""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (AuditFailed("s3://b/x: has changed"), 65, "AuditFailed: s3://b/x: has changed"),
        (StoreError("s3://b/: no answer in 60 s"), 1, "StoreError: s3://b/: no answer in 60 s"),
        (RuntimeError("no\n  memory"), 1, "RuntimeError: no memory"),
        (RuntimeError("x" * 501), 1, "RuntimeError: " + "x" * 500),
        (
            RuntimeError(JAVA.format(first="StoreError", last="AuditFailed")),
            65,
            "AuditFailed: file:///lake/part-0: is not what was written: 7 bytes",
        ),
        (
            RuntimeError(JAVA.format(first="AuditFailed", last="StoreError")),
            1,
            "StoreError: file:///lake/part-0: is not what was written: 7 bytes",
        ),
        (RuntimeError("imagefeatures.errors.Unheard: of"), 1, "Unheard: of"),
    ],
)
def test_a_job_that_fails_says_why_in_one_line_and_whether_to_try_again_by_its_status(
    job: Any, run: Run, error: Exception, status: int, line: str
) -> None:
    context = Context()
    assert job(["--run", run.layout.run_file], raising(error), context) == (status, f"ingest: {line}\n")
    assert context.stopped


def test_a_job_that_keeps_nothing_of_its_errors_ends_as_the_others_do(
    job: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = distribute.Begun("photos classify", "photos", "--run: a run", raising(AuditFailed("has changed")))
    monkeypatch.setattr(sys, "argv", ["classify.py", "--run", "file:///lake/run.json"])
    monkeypatch.setattr(distribute, "_start", lambda name, fixed: Context())
    with pytest.raises(SystemExit) as ended:
        distribute.run_job("classify", "--run", "a run", lambda uri: begun)
    assert (ended.value.code, capsys.readouterr().out) == (65, "classify: AuditFailed: has changed\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "the following arguments are required: --run"),
        (["--ru", "file:///x"], "the following arguments are required: --run"),
        (["--run", "file:///x", "--sh\x1bow"], "unrecognized arguments: --sh"),
    ],
)
def test_wrong_arguments_are_refused_before_spark_is_started(job: Any, arguments: list[str], line: str) -> None:
    context, done = Context(), []
    status, said = job(arguments, lambda *given: done.append(given), context)
    assert (status, done, context.stopped) == (65, [], False)
    assert said.startswith(f"ingest: ParamsError: {line}")
    assert said.removesuffix("\n").isprintable()


def test_the_job_of_another_dataset_is_refused_and_does_nothing(job: Any, run: Run) -> None:
    context, done = Context({names.DATASET_CONF: "birds"}), []
    assert job(["--run", run.layout.run_file], lambda *given: done.append(given), context) == (
        65,
        f"ingest: ParamsError: --run: {run.layout.run_file} is a run of photos, not of birds\n",
    )
    assert done == []
    assert context.stopped
    own = Context({names.DATASET_CONF: "photos"})
    assert job(["--run", run.layout.run_file], lambda *given: done.append(given), own) == (0, "")
    assert done == [(own, run)]


def test_what_a_job_has_printed_is_not_lost_though_its_process_ends_at_once(
    job: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As spark-submit has it, both go to a pipe, and are written when a buffer is full."""
    out, err = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    def work(*_: object) -> None:
        print("said", end="")
        print("warned", end="", file=sys.stderr)

    assert job(["--run", run.layout.run_file], work)[0] == 0
    assert [stream.buffer.getvalue() for stream in (out, err)] == [b"said", b"warned"]


class Started:
    """In place of a SparkContext: it has the configuration, and starts nothing."""

    def __init__(self, conf: SparkConf) -> None:
        self.conf = dict(conf.getAll())


def started_with(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the job start with those settings of spark-submit, which a SparkConf has once Spark's JVM runs."""
    known: dict[str, str] = {}
    monkeypatch.setattr(Started, "_ensure_initialized", lambda: known.update(given), raising=False)
    monkeypatch.setattr(distribute, "SparkContext", Started)
    monkeypatch.setattr(distribute, "SparkConf", lambda: SparkConf(loadDefaults=False).setAll([*known.items()]))


ALONE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.authenticate": "true"}


@pytest.mark.parametrize(
    ("master", "more"),
    [
        (None, ALONE),
        ("local", ALONE),
        ("local[2]", ALONE),
        ("local-cluster[1,1,1024]", {}),
        ("spark://local:7077", {}),
        ("yarn", {}),
    ],
)
def test_spark_on_one_machine_listens_to_this_machine_alone(
    master: str | None, more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"spark.ui.enabled": "true"} | ({"spark.master": master} if master else {})
    started_with(given, monkeypatch)
    assert distribute._start("photos", {}).conf == {
        **given,  # what the connection or spark-defaults.conf say is kept
        "spark.app.name": "photos",
        "spark.python.worker.faulthandler.enabled": "true",
        **more,
    }


@pytest.mark.parametrize(
    ("step", "kind", "speculates"),
    [("ingest", "uri_list", "false"), ("ingest", "folder", "true"), ("validate", "uri_list", "true")],
)
def test_no_attempt_is_speculated_where_it_would_ask_a_host_a_second_time(
    step: str, kind: str, speculates: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever spark-defaults.conf says: two attempts would be twice what the host allows."""
    folder = fill(tmp_path / "photos", {"urls.txt": b"https://example.org/1.jpg", "1.jpg": b"x"})
    run = make_run({"kind": kind, "uri": f"file://{folder}/{'urls.txt' if kind == 'uri_list' else ''}"})
    started_with({"spark.speculation": "true"}, monkeypatch)
    started: list[dict[str, str]] = []
    real = distribute._start

    def start(*given: Any) -> Context:
        started.append(real(*given).conf)
        return Context()

    monkeypatch.setattr(distribute, "_start", start)
    monkeypatch.setattr(sys, "argv", [f"{step}.py", "--run", run.layout.run_file])
    monkeypatch.setattr(os, "_exit", lambda status: None)
    distribute.main(step, lambda *_: None)
    assert [conf["spark.speculation"] for conf in started] == [speculates]


def test_a_job_starts_without_the_web_server_of_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    started_with({}, monkeypatch)
    assert distribute._start("photos", {}).conf["spark.ui.enabled"] == "false"


def test_the_seconds_of_the_start_are_those_of_the_jvm() -> None:
    assert distribute._start_seconds(Context()) == 4.0
