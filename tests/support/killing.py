"""Spark jobs that are submitted, followed by their receipts, and killed at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.environment import environment
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY
from support.reusing import local

JOBS = REPOSITORY / "jobs"
CORES = 2
AS_A_TASK = Path(__file__).with_name("as_a_task.py")
LONGEST_WAIT = 0.05
"""The most seconds between a receipt and the kill after it: about the time of one shard."""

Victims = Callable[["Job"], list[int]]


@dataclass(frozen=True)
class Submitter:
    """How a job is submitted. home: folder for its logs. conf: Spark's settings. task: by Airflow's operator."""

    home: Path
    master: str = f"local[{CORES}]"
    conf: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    task: bool = False

    def submit(self, step: str, run: Run, job: Path | None = None) -> Job:
        conf = [word for name, value in self.conf.items() for word in ("--conf", f"{name}={value}")]
        arguments = [str(job or JOBS / f"{step}.py"), "--run", run.layout.run_file]
        command = ["spark-submit", "--master", self.master, *conf, *arguments]
        if self.task:
            command = [sys.executable, str(AS_A_TASK), *arguments]
        path = os.pathsep.join(map(str, (REPOSITORY, JOBS)))
        env = environment(self.home, 0) | {"PYTHONPATH": path, "IMAGEFEATURES_LAKE": run.lake}
        log = self.home / f"{step}-{len(list(self.home.glob(f'{step}-*.log')))}.log"
        with log.open("wb") as sink:
            # A process group of its own, so that exactly the job's processes can be killed together.
            process = subprocess.Popen(
                command, env=env | self.variables, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
        return Job(process, log)


@dataclass(frozen=True)
class Job:
    """A submitted job. process: the driver's JVM, since spark-submit's shell script execs it; or the task's process."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


def receipts(run: Run, step: str) -> dict[str, bytes]:
    """File name: bytes of each receipt of a step."""
    return {path.name: path.read_bytes() for path in local(run.layout.step(step)).glob("shard-*.json")}


def outputs(run: Run, step: str, shard: int | None = None) -> list[Path]:
    """The data files of a step, or of one of its shards, whether or not a receipt names them."""
    folder, _, name = run.layout.new_output(step, shard or 0).rpartition("/")
    prefix, _, rest = name.partition("shard-")
    number = rest[:5] if shard is not None else "?????"
    return list(local(folder).glob(f"{prefix}shard-{number}-{'?' * len(rest[6:])}"))


def drivers(job: Job) -> list[int]:
    """The JVM of spark-submit, without its Python driver process, which must notice by itself."""
    jvm = next((process for process in _below(os.getpid()) if process.pid == job.process.pid), None)
    return [job.process.pid] if "org.apache.spark.deploy.SparkSubmit" in _words(jvm) else []


def groups(job: Job) -> list[int]:
    """The process group of a task, once spark-submit and the job's Python driver are in it: a negative number."""
    inside = " ".join(_words(process) for process in _below(job.process.pid))
    return [-job.process.pid] if "SparkSubmit" in inside and "pyspark.daemon" in inside else []


def python_workers(_: Job) -> list[int]:
    """Python workers, local or in executors: the forks of pyspark.daemon, which have its name."""
    forked = [process for process in _below(os.getpid()) if "pyspark.daemon" in _words(process)]
    return [process.pid for process in forked if "pyspark.daemon" in _words(_parent(process))]


def decode_children(job: Job) -> list[int]:
    """The decode processes below this job's Python workers, but not those that other tests may have left."""
    return [p.pid for p in _below(job.process.pid) if "import decode_child" in _words(p)]


def executors(_: Job) -> list[int]:
    """The executors of a cluster: JVMs started by the cluster's workers, which this process has started."""
    return [process.pid for process in _below(os.getpid()) if "CoarseGrainedExecutorBackend" in _words(process)]


def _below(pid: int) -> list[psutil.Process]:
    """All descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:  # it has ended meanwhile
        return []


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def _words(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:  # it has ended meanwhile
        return ""


@dataclass
class Disturbance:
    """One step of one run, killed several times. held: every receipt that existed at one of the kills."""

    run: Run
    step: str
    submitter: Submitter
    shards: int
    submitted: list[Job] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)
    kills: int = 0

    def kill(self, victims: Victims, count: int, moments: random.Random) -> None:
        """Kill one victim at `count` random moments between the step's first receipt and its last."""
        for left in range(count, 0, -1):
            done = len(receipts(self.run, self.step))
            first = (
                done + CORES + 1 if done else 1
            )  # more receipts than shards in flight, so that the next job has started working
            self._wait_for(moments.randint(first, done + (self.shards - done) // (left + 1)))
            time.sleep(moments.uniform(0, LONGEST_WAIT))
            while not (candidates := victims(self._working())):  # the successor of a killed process is starting
                time.sleep(0.005)
            existing = receipts(self.run, self.step)
            victim = moments.choice(candidates)
            os.kill(victim, signal.SIGKILL)  # a negative number is a process group
            assert 0 < len(existing) < self.shards, f"killed too late: {len(existing)} of {self.shards} shards done"
            self._compare(existing)
            self.held |= existing
            self.kills += 1

    def finish(self) -> None:
        """Submit the step until it succeeds. Existing receipts must not change."""
        while (status := self._job().process.wait()) != 0:
            assert len(self.submitted) <= self.kills, f"it failed without a kill: {status}\n{self.submitted[-1].output}"
        after = receipts(self.run, self.step)
        assert len(after) == self.shards
        self._compare(after)
        # Only a shard that was in progress at a kill may have left a second file.
        assert self.shards <= len(outputs(self.run, self.step)) <= self.shards + CORES * self.kills
        if len(self.submitted) > 1:
            (line,) = [line for line in self.submitted[-1].output.splitlines() if "done before" in line]
            done_before = int(line.partition(" shards (")[2].split()[0])
            assert done_before >= len(self.held)

    def close(self) -> None:
        """Kill the jobs that a failed test has left running."""
        for job in self.submitted:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()

    def _compare(self, current: dict[str, bytes]) -> None:
        assert {name: current.get(name) for name in self.held} == self.held

    def _wait_for(self, count: int) -> None:
        while len(receipts(self.run, self.step)) < count:
            self._working()
            time.sleep(0.005)

    def _working(self) -> Job:
        """The running job. It must not have succeeded yet, since there are kills to come."""
        job = self._job()
        assert job.process.poll() != 0, f"it succeeded before the kill:\n{job.output}"
        return job

    def _job(self) -> Job:
        """The job that is running or has succeeded; after a failure a new one."""
        if not self.submitted or self.submitted[-1].process.poll():
            self.submitted.append(self.submitter.submit(self.step, self.run))
        return self.submitted[-1]
