"""The DAG that takes published rows back: its form, its one task, and that it has no schedule."""

from __future__ import annotations

from typing import Any

from imagefeatures.run_params import UnpublishParams
from imagefeatures_airflow.retries import RefuseInputErrors


def test_the_form_has_every_parameter_and_its_safe_default(parse_dags: Any) -> None:
    dag = parse_dags(fruit="source: s3://photos/fruit/{partition}/").dags["unpublish_fruit"]
    (task,) = dag.tasks
    assert type(task.retry_policy) is RefuseInputErrors
    assert not dag.timetable.can_be_scheduled
    assert "**The promise.**" in dag.doc_md
    fields = {name: dag.params.get_param(name) for name in dag.params}
    assert list(fields) == list(UnpublishParams.model_fields)
    assert all(field.schema["title"] and field.description for field in fields.values())
    assert {name: field.schema["type"] for name, field in fields.items()} == {
        "partition": ["string", "null"], "uris": ["array", "null"], "why": "string", "dry_run": "boolean",
    }  # fmt: skip
    assert fields["dry_run"].resolve() is True
    assert not fields["why"].has_value  # nobody may leave it empty
