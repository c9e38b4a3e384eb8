"""The audit of a run: every listed object is in exactly one table, and every file is what its receipt says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import manifest, schemas, shards
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny, fetched
from imagefeatures.forget.deny import DenyList
from imagefeatures.outputs import Output
from imagefeatures.plan import Run
from imagefeatures.reasons import printable, without_secrets
from imagefeatures.repeats import HashedTexts
from imagefeatures.shards import Receipt, StagedFile, Totals
from imagefeatures.slowest import slowest
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, SPARK_STEPS, VALIDATE, equal_bytes
from imagefeatures.steps.equal_bytes import Moved

JOINED_TABLES = 64
"""So many shards' rejected rows are made one table: a table of five rows takes 10 kB."""


class HoldsForgotten(AuditFailed):
    """A run holds images that were forgotten after their fetch. image_ids: theirs."""

    def __init__(self, text: str, image_ids: frozenset[str] = frozenset()) -> None:
        super().__init__(text)
        self.image_ids = image_ids


@dataclass
class Audit:
    """The totals of a run, and its files and rejected rows, after all of its numbers were found to agree.

    registered: images; with augmented copies a table has more rows. files: by the table of each output. reused: of the
    first output; models_reused: of each other model. Both are of the pictures as they are. slowest: see
    `slowest.slowest`.
    """

    listed: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    registered: int = 0
    reused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    files: dict[str, list[str]] = field(default_factory=dict)
    models_reused: Counter[str] = field(default_factory=Counter)
    rejected: list[pa.Table] = field(default_factory=list)
    steps: dict[str, Totals] = field(default_factory=dict)
    slowest: list[dict[str, Any]] = field(default_factory=list)


def audit_run(run: Run) -> Audit:
    """Add up a run, object by object, one shard in memory at a time.

    Raises AuditFailed with the first disagreement, and HoldsForgotten before any.
    """
    listing = manifest.read_listing(run)
    receipts = {step: {r.shard: r for r in shards.read_receipts(run.layout, step)} for step in SPARK_STEPS}
    for step, of_shard in receipts.items():
        if missing := set(range(listing.shards)) - set(of_shard):
            raise AuditFailed(f"{step}: no receipt for {len(missing)} of {listing.shards} shards, first {min(missing)}")
    if forgotten := deny.read(run.lake):
        _refuse_forgotten(run, receipts[INGEST].values(), forgotten)
    audit = Audit(passed_over=listing.passed_over, files={table: [] for table in run.tables})
    uris, joined = HashedTexts(), 0
    moves, unbalanced = equal_bytes.moves_of(run), 0
    for shard in range(listing.shards):
        listed = manifest.read_manifest(run, shard, listing)["uri"].to_pylist()
        uris.add(listed)
        moved = equal_bytes.moved(moves, shard)
        unbalanced += sum(map(hash, moved.taken)) - sum(map(hash, moved.given))
        own = {step: receipts[step][shard] for step in SPARK_STEPS}
        _audit_shard(run, shard, listed, own, moved, audit)
        if len(audit.rejected) - joined >= JOINED_TABLES:
            audit.rejected[joined:] = [pa.concat_tables(audit.rejected[joined:]).combine_chunks()]
            joined += 1
    if audit.listed != listing.objects:
        raise AuditFailed(f"the manifest holds {audit.listed} objects, {listing.objects} were listed")
    if unbalanced:
        raise AuditFailed(f"{run.layout.moves_summary}: some shards take other rows than others give; start a new run")
    if uri := manifest.repeated_uri(run, listing, uris.repeated()):
        raise AuditFailed(f"{printable(without_secrets(uri))} is in the manifest more than once")
    audit.steps = {step: shards.totals(of_shard.values()) for step, of_shard in receipts.items()}
    audit.slowest = slowest(receipt for of_shard in receipts.values() for receipt in of_shard.values())
    return audit


def _audit_shard(
    run: Run, shard: int, listed: list[str], receipts: dict[str, Receipt], moved: Moved, audit: Audit
) -> None:
    expected = len(listed)
    should = Counter([*listed, *(uri for uri, _ in moved.taken)])
    should.subtract(uri for uri, _ in moved.given)
    rejected: list[pa.Table] = []
    for step, receipt in receipts.items():
        if receipt.rows_in != expected:
            raise AuditFailed(f"{step} shard {shard}: {receipt.rows_in} rows came in, {expected} were handed on")
        if receipt.rejected:
            rejected.append(shards.read_staged(receipt.rejected))
        expected = receipt.passed
        if receipt.rows_in != expected + (rejected[-1].num_rows if receipt.rejected else 0):
            raise AuditFailed(f"{step} shard {shard}: {receipt.rows_in} rows in, {expected} out, the rest not rejected")
        if step == VALIDATE:
            expected += len(moved.taken) - len(moved.given)
    of_outputs = list(zip(run.outputs, receipts[FEATURIZE].outputs, receipts[RESIZE].outputs, strict=True))
    uris = [list(_checked_uris(run, output, features.own)) for output, features, _ in of_outputs]
    if any(of_output != uris[0] for of_output in uris):
        raise AuditFailed(f"shard {shard}: the outputs do not hold the same objects in the same order")
    accounted = Counter([*uris[0], *(uri for table in rejected for uri in table["uri"].to_pylist())])
    if accounted != should:
        wrong = sorted((accounted - should) + (should - accounted))
        first = printable(without_secrets(wrong[0]))
        raise AuditFailed(f"shard {shard}: {len(wrong)} objects are not in exactly one table, first {first}")
    audit.listed += len(listed)
    audit.registered += len(uris[0])
    audit.reused += shards.totals([receipts[RESIZE]]).reused
    for output, _, resized in of_outputs[1:]:
        if output.model and not output.copy_number:
            audit.models_reused[output.model.name] += resized.reused.rows if resized.reused else 0
    audit.rejected += rejected
    for table in rejected:
        audit.reasons.update(table["reason"].to_pylist())
    for output, features, _ in of_outputs:
        if features.own.rows:
            audit.files[output.table].append(features.own.uri)


def _refuse_forgotten(run: Run, ingested: Iterable[Receipt], forgotten: DenyList) -> None:
    """Raise HoldsForgotten for images, and objects of URIs, that were forgotten after the run had fetched them."""
    held = {image_id for receipt in ingested for image_id in fetched.held(receipt, forgotten)}
    if held:
        raise HoldsForgotten(
            f"run {run.run_id} holds an image that was forgotten after its fetch; start a new run",
            frozenset(image_id for image_id in held if image_id),
        )


def _checked_uris(run: Run, output: Output, file: StagedFile) -> Iterator[str]:
    """The URIs in a features file, after a check of all its rows. Raises AuditFailed when one must not be published."""
    schema = schemas.of_table(output.table, output.kind)
    table = shards.read_staged(file)
    if "copy" not in table.schema.names and not output.copy_number:  # of a run that a version before began
        table = table.append_column(schema.field("copy"), pa.repeat(pa.scalar(0, pa.int32()), table.num_rows))
    if not table.schema.equals(schema):
        raise AuditFailed(f"{file.uri}: columns are not those of features.{output.table}")
    constants: dict[str, Any] = {
        "partition_key": run.partition,
        "fingerprint": output.fingerprint,
        "run_id": run.run_id,
        "copy": output.copy_number,
    }
    for column, value in constants.items():
        if table.num_rows and (values := table[column].unique().to_pylist()) != [value]:
            raise AuditFailed(f"{file.uri}: {column} holds {values}, this run's is {value}")
    yield from table["uri"].to_pylist()
    if output.kind:
        return
    vectors = table["features"].combine_chunks()
    if table.num_rows and set(vectors.value_lengths().unique().to_pylist()) != {output.spec.width}:
        raise AuditFailed(f"{file.uri}: MODEL_MISMATCH: not every vector has {output.spec.width} values")
    if not np.isfinite(vectors.flatten().to_numpy()).all():
        raise AuditFailed(f"{file.uri}: a vector holds a value that is not finite")
