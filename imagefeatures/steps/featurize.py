"""featurize: computes the vectors, and writes them to Parquet files in the table's own folder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures import read, schemas
from imagefeatures.errors import Rejected
from imagefeatures.manifest import read_manifest
from imagefeatures.models.engines import Engine
from imagefeatures.pixels import as_pixels
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Receipt, ShardWork, read_receipt, read_staged
from imagefeatures.steps import FEATURIZE, RESIZE


def run_shard(run: Run, shard: int, engine: Engine) -> Receipt:
    """Featurize one shard: schemas.FEATURES, in the order of the listing.

    Vectors that resize took from the table are passed on unchanged. engine: not called when all vectors are reused.
    """
    work = ShardWork(run.layout, FEATURIZE, shard)
    resized = read_receipt(run.layout.receipt(RESIZE, shard))
    table = read_staged(resized.output)
    chain, width = run.preprocessing, run.model.width
    pixels = as_pixels(table, chain.shape, chain.dtype)
    vectors = engine.features(pixels) if table.num_rows else np.empty((0, width), np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    for index in np.flatnonzero(~finite).tolist():
        row = table.slice(index, 1).select(schemas.IDENTITY).to_pylist()[0]
        count = np.count_nonzero(~np.isfinite(vectors[index]))
        work.reject(row, Rejected(Reason.NOT_FINITE, f"{count} values are not finite"))
    kept = table.drop_columns(["pixels"]).filter(pa.array(finite))
    features = feature_table(run, kept, vectors[finite])
    if resized.reused:
        features = _in_listed_order(run, shard, features, read_staged(resized.reused))
    return work.finish(resized.passed, features, **schemas.FEATURES_FILE)


def feature_table(run: Run, images: pa.Table, vectors: np.ndarray) -> pa.Table:
    """images: the identity columns of n rows; vectors: float32 [n, width]. Returns schemas.FEATURES."""
    count, width = vectors.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    constants = {
        "partition_key": run.partition,
        "model": run.model.name,
        "fingerprint": run.fingerprint,
        "run_id": run.run_id,
    }
    columns = {name: pa.repeat(pa.scalar(value), count) for name, value in constants.items()}
    columns |= {name: images[name] for name in images.column_names}
    columns["features"] = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(vectors.reshape(-1)), type=schemas.FEATURES.field("features").type
    )
    return pa.table([columns[name] for name in schemas.FEATURES.names], schema=schemas.FEATURES)


def _in_listed_order(run: Run, shard: int, computed: pa.Table, reused: pa.Table) -> pa.Table:
    """computed: schemas.FEATURES. reused: schemas.REUSED. Returns both as schemas.FEATURES."""
    both = pa.concat_tables([computed, feature_table(run, reused.drop_columns(["features"]), read.vectors(reused))])
    position = {uri: index for index, uri in enumerate(read_manifest(run, shard)["uri"].to_pylist())}
    return both.take(np.argsort([position[uri] for uri in both["uri"].to_pylist()]))
