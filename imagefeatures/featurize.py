"""featurize: pixels through the model, into Parquet files that already lie where the table will find them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures import resize, schemas
from imagefeatures.errors import Rejected
from imagefeatures.models.engines import Engine
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Receipt, ShardWork, read_output

STEP = "featurize"


def run_shard(run: Run, shard: int, engine: Engine) -> Receipt:
    """Featurize one shard: schemas.FEATURES, in the order of the listing."""
    work = ShardWork(run.layout, STEP, shard)
    table = read_output(run.layout, resize.STEP, shard)
    vectors = engine.features(resize.as_pixels(table))
    finite = np.isfinite(vectors).all(axis=1)
    for at in np.flatnonzero(~finite).tolist():
        row = table.slice(at, 1).select(schemas.REJECTED.names[:5]).to_pylist()[0]
        work.reject(
            row, Rejected(Reason.NOT_FINITE, f"{np.count_nonzero(~np.isfinite(vectors[at]))} values are not finite")
        )
    kept = table.drop_columns(["pixels"]).filter(pa.array(finite))
    return work.finish(table.num_rows, feature_table(run, kept, vectors[finite]), compression="zstd")


def feature_table(run: Run, images: pa.Table, vectors: np.ndarray) -> pa.Table:
    """images: the identity columns of n rows; vectors: float32 [n, width]. Returns schemas.FEATURES."""
    count, width = vectors.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    constants = {
        "partition_key": run.partition,
        "model": run.dataset.model,
        "fingerprint": run.fingerprint,
        "run_id": run.run_id,
    }
    columns = {name: pa.repeat(pa.scalar(value), count) for name, value in constants.items()}
    columns |= {name: images[name] for name in images.column_names}
    columns["features"] = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(vectors.reshape(-1)), type=schemas.FEATURES.field("features").type
    )
    return pa.table([columns[name] for name in schemas.FEATURES.names], schema=schemas.FEATURES)
