"""`imagefeatures forget` and the DAG `forget`: what they ask for, and what they say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures import read
from imagefeatures.cli import main
from imagefeatures.errors import EXIT_INPUT_ERROR, CatalogRefused, ParamsError
from imagefeatures.forget import pending, work
from imagefeatures.forget.pending import Pending
from imagefeatures.forget.report import Report
from imagefeatures.run_params import ForgetParams
from imagefeatures.settings import Settings
from imagefeatures_airflow import upkeep_tasks
from imagefeatures_airflow.retries import RefuseInputErrors
from support.redriving import names_of, small_partition


def test_the_command_and_the_task_forget_and_print_a_report(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    ids = {uri.rpartition("/")[2]: row["image_id"] for uri, row in partition.features.items()}
    (cut,) = [uri for uri in partition.quarantine if uri.endswith("/cut.jpg")]
    capsys.readouterr()
    words = ["forget", "--image-id", ids["a.jpg"].upper(), "--uri", cut, "--why", "asked to", "--by", "ada"]
    assert main([*words, "--dry-run"]) == main(words) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  ")]
    there = ": 2 images and 1 URIs, in features.photos, features.quarantine"
    assert [line.partition(", request ")[0] for line in heads] == ["would be forgotten", "forgotten"]
    assert all(line.endswith(there) for line in heads)
    partition.check()
    assert names_of(partition.features) == {"b.jpg"}
    assert names_of(partition.quarantine) == {"empty.jpg", "text.jpg"}
    run: Any = SimpleNamespace(triggering_user_name="gra\udcffce", run_id="manual__7")
    upkeep_tasks.forget({"image_ids": [ids["b.jpg"]], "uris": None, "why": "too", "dry_run": False}, run)
    said = capsys.readouterr().out
    assert "  1 rows removed, 0 files written anew, 1 files deleted, " in said
    assert f"  file://{tmp_path}/photos/{partition.key}/b.jpg: at the source, which is not touched\n" in said
    assert "Airflow keeps the ids and URIs of the form: delete the DAG run manual__7 when" in said.splitlines()[-1]
    assert partition.features == {}
    assert sorted(read.table(settings, "forgotten")["asked_by"].to_pylist()) == ["ada", "gra\\udcffce"]


@pytest.mark.parametrize("by", ["command", "task"])
def test_what_is_done_is_told_before_the_error_of_another_request(
    by: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = Pending("20200101T000000-0a1b2c3d", frozenset({"0" * 64}), frozenset(), "ada", "x", dt.datetime.now(dt.UTC))
    pending.keep(settings.lake, waits)
    finished = work._Work.finished

    def fails_of_the_first(self: work._Work) -> Report:
        if self.report.run_id == waits.run_id:
            raise CatalogRefused("no")
        return finished(self)

    monkeypatch.setattr(work._Work, "finished", fails_of_the_first)
    if by == "command":
        assert main(["forget", "--image-id", "ab" * 32, "--why", "x"]) == EXIT_INPUT_ERROR
    else:
        with pytest.raises(CatalogRefused, match=f"^request {waits.run_id}: no; 1 requests wait"):
            upkeep_tasks.forget({"image_ids": ["ab" * 32], "uris": None, "why": "x", "dry_run": False})
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("forgotten, request ")
    assert second.startswith("  0 rows removed, ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "image_ids: name an image by its id or by its URI"),
        (["--image-id", "cafe"], "image_ids: 'cafe' is no SHA-256 of 64 hexadecimal digits"),
        (["--uri", " "], "uris: must name an object"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("settings")
def test_what_is_wrong_is_one_line_and_status_65(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["forget", "--why", "x", *words]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: {text}")


def test_the_form_has_every_parameter_and_its_safe_default() -> None:
    from imagefeatures_airflow.forget import forget_dag

    dag = forget_dag()
    (task,) = dag.tasks
    assert type(task.retry_policy) is RefuseInputErrors
    assert (dag.dag_id, dag.max_active_runs, dag.timetable.can_be_scheduled) == ("forget", 1, False)
    assert "**The promise.**" in (dag.doc_md or "")
    fields = {name: dag.params.get_param(name) for name in dag.params}
    assert list(fields) == list(ForgetParams.model_fields)
    assert all(field.schema["title"] and field.description for field in fields.values())
    assert fields["dry_run"].resolve() is True
    assert not fields["why"].has_value
    with pytest.raises(ParamsError, match=r"^why: "):
        upkeep_tasks.forget({"image_ids": ["ab" * 32], "uris": None, "dry_run": True})
