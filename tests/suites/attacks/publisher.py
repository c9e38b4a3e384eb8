"""A process that publishes one partition again and again: `publisher.py FOLDER COUNT`, settings by environment.

It prints the run_id of each run when register has returned. With CARELESS=1 Python waits for no disk (SQLite does).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from imagefeatures import images
from imagefeatures.datasets import Dataset
from imagefeatures.local import run_steps
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.shared import PARTITION, THIS_PROCESS


def publish(folder: Path, settings: Settings) -> str:
    """One run, from plan to register. Returns its run_id."""
    dataset = Dataset.model_validate(
        {"name": "photos", "source": f"file://{folder}/", "reuse": False, "limits": {"max_rejected": 0.5}}
    )
    params = RunParams.parse({"shard_images": 4})
    run = load_run(plan_run(dataset, params, PARTITION, settings))
    run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, settings)
    return run.run_id


if __name__ == "__main__":
    if os.environ.get("CARELESS"):
        os.fsync = lambda _: None  # type: ignore[assignment]
    images.configure_pillow()
    for _ in range(int(sys.argv[2])):
        print(publish(Path(sys.argv[1]), Settings.from_env()), flush=True)
