"""Runs that hold an image which was forgotten after its fetch: they are not published, and nothing stays of them."""

from __future__ import annotations

from imagefeatures import run_audit, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.layout import kept_rejects
from imagefeatures.plan import Run
from imagefeatures.run_audit import Audit, HoldsForgotten


def audited(run: Run) -> Audit:
    """What `run_audit.audit_run` finds. Raises AuditFailed as it does; of a run that holds one nothing stays."""
    try:
        return run_audit.audit_run(run)
    except HoldsForgotten as error:
        _remove(run, error.image_ids)
        raise AuditFailed(str(error)) from None


def _remove(run: Run, image_ids: frozenset[str]) -> None:
    """The request is done, and looks for nothing any more. The staging folder goes last: it tells what there was."""
    begun = storage.exists(run.layout.publication)  # then a table may name the files, and `forget` takes them out of it
    for table in () if begun else run.tables:
        own = run.layout.of_table(table)
        for stored in list(storage.list_objects(own.rpartition("/")[0])):
            if stored.uri.startswith(own):
                storage.delete(stored.uri)
    for stored in list(storage.list_objects(f"{kept_rejects(run.lake)}/{run.dataset.name}/{run.partition}")):
        if stored.uri.rpartition("/")[2] in image_ids:
            storage.delete(stored.uri)
    storage.delete_folder(run.layout.run)
