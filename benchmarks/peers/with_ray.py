"""Ray Data, on a local Ray instance.

After Ray's documentation, "Working with Images" (docs.ray.io/en/latest/data/working-with-images.html): files are
read with their paths, `map_batches` gets a class that loads the model once, on an `ActorPoolStrategy` of as many
actors as there are cores, and `write_parquet` ends the query.

The files are read as bytes and decoded where the model runs. `read_images` with a `map` that resizes, with which that
page begins, was tried and is slower, because decoded images pass through the object store.

An actor requests half a core. With the default of one core the actors occupy all cores of a small machine, and
reading waits for a core for ever.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ray

from benchmarks.peers.common import Request, decoded, open_engine, timed

BATCH = 16  # tried: 16 and 64
CORES_OF_AN_ACTOR = 0.5  # tried: 0.25 and 0.5


def main() -> None:
    request = Request.from_arguments()
    ray.init(num_cpus=request.cores, include_dashboard=False, logging_level="ERROR")
    timed(request, lambda: query(request), ("ray", "openvino", "pillow"))
    ray.shutdown()


def query(request: Request) -> None:
    ray.data.DataContext.get_current().enable_progress_bars = False
    (
        ray.data.read_binary_files(str(request.photos), include_paths=True)
        .map_batches(
            Featurizer,
            fn_constructor_args=(str(request.model),),
            compute=ray.data.ActorPoolStrategy(size=request.cores),
            num_cpus=CORES_OF_AN_ACTOR,
            batch_size=BATCH,
        )
        .write_parquet(str(request.out))
    )


class Featurizer:
    """The model, loaded once for each actor."""

    def __init__(self, model: str) -> None:
        self.engine = open_engine(Path(model))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        vectors = self.engine.features(np.stack([decoded(data) for data in batch["bytes"]]))
        return {"path": batch["path"], "features": vectors}


if __name__ == "__main__":
    main()
