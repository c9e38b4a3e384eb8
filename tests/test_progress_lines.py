"""Progress at its edges: a step that nothing is known of, files that register removes meanwhile, one image, a pipe."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from imagefeatures import progress, storage
from imagefeatures.layout import Layout, model_facts
from imagefeatures.progress import Progress, Status, StepStatus

STEPS = ("ingest", "validate", "resize", "featurize")


def test_of_a_step_that_was_not_listed_nothing_is_known() -> None:
    step = StepStatus("ingest")
    assert (step.done, step.total, step.passed, step.finished, step.seconds_left) == (0, None, 0, False, None)
    assert StepStatus("ingest", images_per_second=5.0).seconds_left is None
    assert StepStatus("ingest", total=9).seconds_left is None
    assert StepStatus("ingest", done=4, total=9, images_per_second=2.5).seconds_left == 2.0


def test_a_run_registers_when_all_steps_have_ended() -> None:
    ended = [StepStatus(step, finished=True) for step in STEPS]
    assert Status("r", tuple(ended)).registering
    assert not Status("r", tuple(ended[:2])).registering
    assert not Status("r", (*ended[:3], StepStatus("featurize"))).registering


@pytest.mark.parametrize("prepared", [(), (0,), (1,), (0, 1)])
def test_a_run_of_several_models_waits_until_all_are_prepared(prepared: tuple[int, ...], tmp_path: Any) -> None:
    lake, prints = f"file://{tmp_path}", ("a" * 64, "b" * 64)
    for number in prepared:
        storage.write(model_facts(lake, prints[number]), b"{}")

    class Followed:
        layout = Layout(lake, "photos", "d1", "r")

        def listing(self) -> Any:
            return type("Listing", (), {"objects": 0, "shards": 0})

        def receipts(self, step: str) -> list[Any]:
            return []

    several = {"fingerprint": prints[0], "others": [{"fingerprint": prints[1]}]}
    storage.write(Followed.layout.run_file, json.dumps(several).encode())
    status = progress.read_status(Followed.layout, Followed())  # type: ignore[arg-type]
    assert status
    assert status.steps[-1].no_model == (len(prepared) < 2)


def test_files_that_register_removes_meanwhile_are_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def gone(*_: object) -> Any:
        raise FileNotFoundError("it was removed just now")

    layout = Layout(f"file://{tmp_path}", "photos", "d1", "r")
    assert progress.read_status(layout) is None
    monkeypatch.setattr(storage, "read", gone)
    assert progress.read_status(layout) is None
    monkeypatch.setattr(storage, "list_objects", gone)
    told = Progress(layout.lake, "photos", ["d1"], out := io.StringIO())
    told.tick()
    assert out.getvalue() == ""


class Pipe(io.StringIO):
    """seen: what has been flushed."""

    seen = ""

    def flush(self) -> None:
        self.seen = self.getvalue()


def test_each_line_is_seen_at_once(tmp_path: Any) -> None:
    pipe = Pipe()
    told = Progress(f"file://{tmp_path}", "photos", ["d1"], pipe)
    told.say("It begins.")
    assert pipe.seen == "    0 s  It begins.\n"
    told.update(Status("r", tuple(StepStatus(step, finished=True) for step in STEPS)))
    assert pipe.seen.endswith("    0 s  d1  5/5 register \n")


def test_lines_go_to_standard_output_by_default(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress(f"file://{tmp_path}", "photos", ["d1"])
    told.say("It begins.")
    told.tick()
    assert capsys.readouterr().out == "    0 s  It begins.\n"


@pytest.mark.parametrize(("done", "total", "bar"), [(0, 0, "░" * 20), (1, 1, "█" * 20), (1, 2, "█" * 10 + "░" * 10)])
def test_the_bar_is_full_when_all_is_done(done: int, total: int, bar: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BAR", 20)
    line = progress._running_step(StepStatus("ingest", done=done, total=total), 200)
    assert line.split()[2] == bar
