"""Daft, on its native runner.

After Daft's documentation, "Stateful Class UDFs with @daft.cls" (docs/custom-code/cls.md): each instance loads
the model once, `@daft.method.batch` has a `batch_size` found by trial, there are as many instances as cores
(`max_concurrency`), and `use_process=True` "to improve performance by avoiding GIL contention".

Daft lists and downloads, and Pillow decodes where the model runs. Daft's own `decode_image`, which its guide to images
and its own benchmark use, was tried: it stays within a cosine of 0.9998, was not faster, and with processes and
batches of 16 the query hung. Daft's own resize makes different pixels (cosine down to 0.989).
"""

from __future__ import annotations

from pathlib import Path

import daft
import numpy as np
import pyarrow as pa
from daft import DataType, Series, col
from daft.functions import download

from benchmarks.peers.common import Request, decoded, open_engine, timed

BATCH = 16  # tried: 16, 32 and 64


def main() -> None:
    request = Request.from_arguments()
    timed(request, lambda: query(request), ("daft", "openvino", "pillow"))


def query(request: Request) -> None:
    @daft.cls(max_concurrency=request.cores, use_process=True)
    class Featurizer:
        def __init__(self, model: str) -> None:
            self.engine = open_engine(Path(model))

        @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=BATCH)
        def features(self, images: Series) -> pa.Array:
            vectors = self.engine.features(np.stack([decoded(data) for data in images.to_pylist()]))
            offsets = np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.reshape(-1)))

    featurizer = Featurizer(str(request.model))
    (
        daft.from_glob_path(f"{request.photos}/**/*.*")
        .with_column("image", download(col("path")))
        .with_column("features", featurizer.features(col("image")))
        .select("path", "features")
        .write_parquet(str(request.out))
    )


if __name__ == "__main__":
    main()
