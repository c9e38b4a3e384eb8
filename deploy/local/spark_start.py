"""The files that let Spark start sooner: a home without Python archives, and two archives of its Java classes.

`spark-submit` starts a JVM that only writes the command of the next one, which then runs the job. Each has an archive.

Spark works without them, but each job starts a few seconds later (docs/decisions/0003).
"""

from __future__ import annotations

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from deploy.local.environment import CLASS_ARCHIVE, LAUNCHER_ARCHIVE, QUICK_START, SPARK_HOME, environment

# A job that does what all our jobs do (start, broadcast, map, shuffle, collect): its classes go into the archive.
TYPICAL_JOB = """
from pyspark import SparkConf, SparkContext
conf = SparkConf().setAppName("archive").set("spark.ui.enabled", "false").set("spark.authenticate", "true")
context = SparkContext(conf=conf)
shared = context.broadcast(b"x")
pairs = context.parallelize(range(4), 4).map(lambda n: (n % 2, shared.value))
assert len(pairs.collect()) == 4 and pairs.groupByKey().count() == 2
context.stop()
"""


def make(home: Path = SPARK_HOME, archive: Path = CLASS_ARCHIVE, launcher: Path = LAUNCHER_ARCHIVE) -> None:
    """Make the home and, unless they exist, the archives. home: Spark's later SPARK_HOME: the archives hold its path.

    archive: of the JVM that runs a job. launcher: of the one that writes its command.
    """
    _make_home(home)
    if not (archive.is_file() and launcher.is_file()):
        _make_archives(home, {"SPARK_SUBMIT_OPTS": archive, "SPARK_LAUNCHER_OPTS": launcher})


def _make_home(home: Path) -> None:
    """PySpark's programs and jars, without python/lib.

    Spark puts the zip archives in that folder on the path of every Python process, before the installed package.
    Modules load slower from an archive, and a worker reads the archives' directories sixteen times before each task.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SystemExit("PySpark is not installed here")
    home.mkdir(exist_ok=True)
    for name in ("bin", "jars"):
        link = home / name
        link.unlink(missing_ok=True)
        link.symlink_to(Path(spec.origin).parent / name)


def _make_archives(home: Path, archives: dict[str, Path]) -> None:
    """archives: by the variable that has the options of its JVM."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        job = Path(folder) / "job.py"
        job.write_text(TYPICAL_JOB)
        drafts = {variable: archive.with_suffix(".part") for variable, archive in archives.items()}
        archiving = subprocess.run(  # noqa: S603
            ["spark-submit", "--master", "local[2]", str(job)],  # noqa: S607
            env=environment(Path(folder), 0)
            | {"SPARK_HOME": str(home)}
            # Silent, because what the launcher's JVM prints is taken for the command.
            | {name: f"{QUICK_START} -Xlog:disable -XX:ArchiveClassesAtExit={to}" for name, to in drafts.items()},
            capture_output=True,
            text=True,
        )
        if archiving.returncode:
            raise SystemExit(f"Spark does not run here:\n{archiving.stderr[-2000:]}")
    for variable, draft in drafts.items():
        if draft.is_file():
            draft.replace(archives[variable])
