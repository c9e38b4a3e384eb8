"""Jobs that are submitted, watched by their receipts, and killed; the undisturbed ones beside them."""

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
"""Seconds between the receipt that is waited for and the kill, at most: about what a shard takes."""

Victims = Callable[["Job"], list[int]]


@dataclass(frozen=True)
class Submitter:
    """How a step's job is started. home: where its output goes. conf: Spark's settings. task: by Airflow's operator."""

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
        env = environment(self.home, 0) | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, JOBS)))}
        log = self.home / f"{step}-{len(list(self.home.glob(f'{step}-*.log')))}.log"
        with log.open("wb") as sink:
            # A group of its own, so that all of it can be killed at once, and nothing else.
            process = subprocess.Popen(
                command, env=env | self.variables, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
        return Job(process, log)


@dataclass(frozen=True)
class Job:
    """A job under way. process: the driver's JVM, which the shell script of spark-submit has become; or the task's."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


def receipts(run: Run, step: str) -> dict[str, bytes]:
    """A step's receipts, as they lie there."""
    return {path.name: path.read_bytes() for path in local(run.layout.step(step)).glob("shard-*.json")}


def outputs(run: Run, step: str, shard: int | None = None) -> list[Path]:
    """Data files of a step, or of one shard of it: those that count, and those that came too late."""
    folder, _, name = run.layout.new_output(step, shard or 0).rpartition("/")
    prefix, _, rest = name.partition("shard-")
    wanted = rest[:5] if shard is not None else "?????"
    return list(local(folder).glob(f"{prefix}shard-{wanted}-{'?' * len(rest[6:])}"))


def drivers(job: Job) -> list[int]:
    """The JVM of spark-submit. Its Python driver process is left to find that out."""
    jvm = next((process for process in _below(os.getpid()) if process.pid == job.process.pid), None)
    return [job.process.pid] if "org.apache.spark.deploy.SparkSubmit" in _words(jvm) else []


def groups(job: Job) -> list[int]:
    """The whole group of a task's process, once spark-submit and the job's Python driver are in it."""
    inside = " ".join(_words(process) for process in _below(job.process.pid))
    return [-job.process.pid] if "SparkSubmit" in inside and "pyspark.daemon" in inside else []


def python_workers(_: Job) -> list[int]:
    """Python workers, here or in executors: what pyspark.daemon has forked, under the same name."""
    forked = [process for process in _below(os.getpid()) if "pyspark.daemon" in _words(process)]
    return [process.pid for process in forked if "pyspark.daemon" in _words(_parent(process))]


def decode_children(job: Job) -> list[int]:
    """The processes in which Pillow runs, children of the job's Python workers. Other tests may have left some here."""
    return [p.pid for p in _below(job.process.pid) if "multiprocessing.spawn import spawn_main" in _words(p)]


def executors(_: Job) -> list[int]:
    """The executors of a cluster: a JVM each, started by the cluster's workers, which this process has started."""
    return [process.pid for process in _below(os.getpid()) if "CoarseGrainedExecutorBackend" in _words(process)]


def _below(pid: int) -> list[psutil.Process]:
    """Everything that descends from a process."""
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
    """One step of one run, and what was done to it. held: every receipt that was there at one of the kills."""

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
            first = done + CORES + 1 if done else 1  # more than was in flight: the job that is hit next is alive
            self._wait_for(moments.randint(first, done + (self.shards - done) // (left + 1)))
            time.sleep(moments.uniform(0, LONGEST_WAIT))
            while not (found := victims(self._working())):  # one has just been killed, and its successor is starting
                time.sleep(0.005)
            there = receipts(self.run, self.step)
            victim = moments.choice(found)
            os.kill(victim, signal.SIGKILL)  # below zero it is a group, here and in kill(2)
            assert 0 < len(there) < self.shards, f"killed too late: {len(there)} of {self.shards} shards were done"
            self._compare(there)
            self.held |= there
            self.kills += 1

    def finish(self) -> None:
        """See the step through, submitting it again as often as it fails. Receipts must stay what they were."""
        while (status := self._job().process.wait()) != 0:
            assert len(self.submitted) <= self.kills, f"it failed without a kill: {status}\n{self.submitted[-1].output}"
        after = receipts(self.run, self.step)
        assert len(after) == self.shards
        self._compare(after)
        # A shard that was under way at a kill may have left a file behind; no other was done twice.
        assert self.shards <= len(outputs(self.run, self.step)) <= self.shards + CORES * self.kills
        if len(self.submitted) > 1:
            (said,) = [line for line in self.submitted[-1].output.splitlines() if "done before" in line]
            before = int(said.partition(" shards (")[2].split()[0])
            assert before >= len(self.held)

    def close(self) -> None:
        """End what a failed test has left running."""
        for job in self.submitted:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()

    def _compare(self, now: dict[str, bytes]) -> None:
        assert {name: now.get(name) for name in self.held} == self.held

    def _wait_for(self, count: int) -> None:
        while len(receipts(self.run, self.step)) < count:
            self._working()
            time.sleep(0.005)

    def _working(self) -> Job:
        """The job that is under way. It may not have ended well: there are kills to come."""
        job = self._job()
        assert job.process.poll() != 0, f"it was done before the kill:\n{job.output}"
        return job

    def _job(self) -> Job:
        """The job that is under way or has ended well; after a failure the next one."""
        if not self.submitted or self.submitted[-1].process.poll():
            self.submitted.append(self.submitter.submit(self.step, self.run))
        return self.submitted[-1]
