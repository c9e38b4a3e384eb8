"""featurize: computes the vectors, and writes them, and pixels that stay, to files in the tables' own folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from imagefeatures import outputs, read, schemas
from imagefeatures.errors import Rejected
from imagefeatures.manifest import read_manifest
from imagefeatures.models.engines import Engine
from imagefeatures.outputs import Output
from imagefeatures.pixels import as_pixels
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Further, Receipt, ShardWork, read_receipt, read_staged, write_parquet
from imagefeatures.steps import FEATURIZE, RESIZE, equal_bytes


def run_shard(run: Run, shard: int, *engines: Engine) -> Receipt:
    """Featurize one shard: the rows of each output's table, in the order of the listing.

    Rows that the shard computes for others come after its own. The vector of rows with the same image_id is computed
    once. Vectors and pixels that resize took from a table are passed on unchanged. An image passes only if all its
    vectors are finite. engines: one for each output with a model, in the order of the run; not called when all vectors
    of its output are reused.
    """
    work = ShardWork(run.layout, FEATURIZE, shard)
    resized = read_receipt(run.layout.receipt(RESIZE, shard))
    by_number = dict[int, _Computed | _Kept]()
    has_repeated = False
    for group in outputs.by_input(run.outputs):
        pixels: list[pa.Table] = []  # an image's are with the first output that lacks it
        for number in group:
            files = resized.outputs[number]
            pixels.append(read_staged(files.own))
            reused = read_staged(files.reused) if files.reused else None
            output = run.outputs[number]
            images = _of_output(pixels, reused)
            has_repeated = has_repeated or images["pixels"].null_count > 0
            by_number[number] = (
                _compute(output, images, reused, engines[number]) if output.model else _Kept(_filled(images), reused)
            )
    computed = [by_number[number] for number in range(len(run.outputs))]
    position: dict[str, int] = {}
    if run.others or computed[0].reused is not None or has_repeated:
        taken = (uri for uri, _ in equal_bytes.moved(equal_bytes.moves_of(run), shard).taken)
        listed = [*read_manifest(run, shard)["uri"].to_pylist(), *taken]
        position = {uri: index for index, uri in enumerate(listed)}
    bad = dict[str, tuple[dict[str, object], Rejected]]()
    for output, of_output in zip(run.outputs, computed, strict=True):
        if isinstance(of_output, _Kept):
            continue
        of_model = f"{output.spec.name}: " if len(run.models) > 1 else ""
        for row, count in of_output.not_finite():
            why = Rejected(Reason.NOT_FINITE, f"{of_model}{count} values are not finite")
            bad.setdefault(str(row["uri"]), (row, why))
    for uri in sorted(bad, key=position.__getitem__) if position else bad:
        work.reject(*bad[uri])
    first, *others = (
        of_output.rows(run, output, bad, position) for output, of_output in zip(run.outputs, computed, strict=True)
    )
    further = [
        Further(table, None, output.table, schemas.file_options(output.kind))
        for output, table in zip(run.others, others, strict=True)
    ]
    options = schemas.file_options(run.outputs[0].kind)
    written = write_parquet(run.layout.new_output(FEATURIZE, shard, run.tables[0]), first, **options)
    return work.finish(resized.passed, written, None, further)


@dataclass(frozen=True)
class _Computed:
    """What an output gets of a shard. images: n rows of schemas.DECODED. vectors: float32 [n, width].

    reused: schemas.REUSED of the images whose vectors its table holds.
    """

    images: pa.Table
    vectors: np.ndarray
    reused: pa.Table | None

    def not_finite(self) -> list[tuple[dict[str, object], int]]:
        """The identity of each image whose vector is not finite, and how many of its values are not."""
        counts = np.count_nonzero(~np.isfinite(self.vectors), axis=1)
        bad = np.flatnonzero(counts).tolist()
        rows = self.images.take(pa.array(bad)).select(schemas.IDENTITY).to_pylist() if bad else []
        return list(zip(rows, counts[bad].tolist(), strict=True))

    def rows(self, run: Run, output: Output, bad: Mapping[str, object], position: Mapping[str, int]) -> pa.Table:
        """schemas.FEATURES of all images but the bad ones. position: of each URI in the listing; none: as they are."""
        good = _good(self.images, bad)
        table = feature_table(run, self.images.filter(pa.array(good)), self.vectors[good], output)
        if self.reused is not None:
            known = self.reused.filter(pa.array(_good(self.reused, bad)))
            known = feature_table(run, known.drop_columns(["features"]), read.vectors(known), output)
            table = pa.concat_tables([table, known])
        return _in_order(table, position)


@dataclass(frozen=True)
class _Kept:
    """The pixels that a table gets of a shard. images, reused: schemas.pixels of those that resize made, and took."""

    images: pa.Table
    reused: pa.Table | None

    def rows(self, run: Run, output: Output, bad: Mapping[str, object], position: Mapping[str, int]) -> pa.Table:
        """schemas.pixels_table of all images but the bad ones."""
        both = pa.concat_tables([self.images, *([] if self.reused is None else [self.reused])])
        both = _in_order(both.filter(pa.array(_good(both, bad))), position)
        return pixel_table(run, both, output)


def pixel_table(run: Run, images: pa.Table, output: Output) -> pa.Table:
    """images: schemas.pixels of n rows. Returns schemas.pixels_table, for an output of pixels."""
    schema = schemas.of_table(output.table, output.kind)
    constants = {"partition_key": run.partition, "fingerprint": output.fingerprint, "run_id": run.run_id}
    constants |= {"copy": pa.scalar(output.copy_number, pa.int32())}
    columns = {name: pa.repeat(value, images.num_rows) for name, value in constants.items()}
    columns |= {name: images[name] for name in images.column_names}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _good(images: pa.Table, bad: Mapping[str, object]) -> np.ndarray:
    return np.array([uri not in bad for uri in images["uri"].to_pylist()], bool)


def _in_order(table: pa.Table, position: Mapping[str, int]) -> pa.Table:
    """The rows in the order of the listing. position: of each URI in it; none: they are in order."""
    uris = table["uri"].to_pylist()
    return table.take(np.argsort([position[uri] for uri in uris])) if position and uris else table


def feature_table(run: Run, images: pa.Table, vectors: np.ndarray, output: Output | None = None) -> pa.Table:
    """images: the identity columns of n rows; vectors: float32 [n, width]. Returns schemas.FEATURES.

    output: of the run; by default the first.
    """
    output = output or run.outputs[0]
    count, width = vectors.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32) if width else np.zeros(1, np.int32)
    constants = {
        "partition_key": run.partition,
        "copy": pa.scalar(output.copy_number, pa.int32()),
        "model": output.spec.name,
        "fingerprint": output.fingerprint,
        "run_id": run.run_id,
    }
    columns = {name: pa.repeat(value, count) for name, value in constants.items()}
    columns |= {name: images[name] for name in images.column_names}
    columns["features"] = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(vectors.reshape(-1)), type=schemas.FEATURES.field("features").type
    )
    return pa.table([columns[name] for name in schemas.FEATURES.names], schema=schemas.FEATURES)


def _of_output(pixels: Sequence[pa.Table], reused: pa.Table | None) -> pa.Table:
    """The pixels of the images that an output lacks. pixels: schemas.pixels of these, and of some that others lack."""
    tables = [table for table in pixels if table.num_rows] or pixels[:1]
    images = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
    if reused is not None and tables[0] is not pixels[-1]:  # not of this output alone
        known = set(reused["uri"].to_pylist())
        images = images.filter(pa.array([uri not in known for uri in images["uri"].to_pylist()], pa.bool_()))
    return images


def _compute(output: Output, images: pa.Table, reused: pa.Table | None, engine: Engine) -> _Computed:
    """Run the model, once for each image. images: schemas.pixels of those that the output lacks."""
    own, number = _own_pixels(images)
    if images.num_rows:
        vectors = engine.features(as_pixels(own, output.preprocessing.shape, output.preprocessing.dtype))
    else:
        vectors = np.empty((0, output.spec.width), np.float32)
    return _Computed(images.drop_columns(["pixels"]), vectors[number], reused)


def _filled(images: pa.Table) -> pa.Table:
    """schemas.pixels with the pixels of every row."""
    own, number = _own_pixels(images)
    pixels = own["pixels"] if own is images else own["pixels"].take(pa.array(number))
    return images.set_column(images.schema.get_field_index("pixels"), images.schema.field("pixels"), pixels)


def _own_pixels(images: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """The rows that have pixels, and int64 [n]: of each of the n rows, the number of the one that has its image."""
    if not images["pixels"].null_count:
        return images, np.arange(images.num_rows)
    own = images.filter(images["pixels"].is_valid())
    numbers = {image: number for number, image in enumerate(own["image_id"].to_pylist())}
    return own, np.array([numbers[image] for image in images["image_id"].to_pylist()])
