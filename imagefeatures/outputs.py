"""The outputs of a run: one table for each model, and one of pixels, settled by plan and written to run.json.

The first output is the table of the dataset's own name, unless pixels are all there is. Pixels come last. Each step
names its files by output, in the same order, and register publishes all outputs or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.own import resolve
from imagefeatures.models.spec import ModelSpec
from imagefeatures.pixels import PixelFormat
from imagefeatures.preprocessing import VERSION, Preprocessing, declared
from imagefeatures.strict import FrozenModel


class Output(FrozenModel):
    """What a run fills a table with: its name in the namespace, and what defines the numbers in it.

    Of augmented copies each number is one, in the table of the picture as it is.

    model: None of pixels. fingerprint: of the model with the preprocessing; of pixels, of the preprocessing. Rows of
    the table with the same one are reused.
    """

    table: str = Field(pattern=names.TABLE_NAME)
    model: ModelSpec | None = None
    preprocessing: Preprocessing
    fingerprint: str

    @property
    def spec(self) -> ModelSpec:
        """The model. Raises ValueError for an output of pixels."""
        if self.model is None:
            raise ValueError(f"{self.table}: has pixels, and no model")
        return self.model

    @property
    def kind(self) -> PixelFormat | None:
        """What the pixels are; None of vectors."""
        return None if self.model else PixelFormat.of_chain(self.preprocessing)

    @property
    def copy_number(self) -> int:
        """Which copy of each picture its rows are of; 0: the picture as it is."""
        return self.preprocessing.copy_number

    @property
    def known_fingerprints(self) -> tuple[str, ...]:
        """Those of rows that hold the same numbers: its own, and for copy 0 that of the chain without augmentation."""
        if self.preprocessing.augmentation is None or self.copy_number:
            return (self.fingerprint,)
        plain = self.preprocessing.plain
        return (self.fingerprint, self.model.fingerprint(plain) if self.model else plain.fingerprint)

    @property
    def computed_fingerprint(self) -> str:
        """The fingerprint that this version computes."""
        return self.model.fingerprint(self.preprocessing) if self.model else self.preprocessing.fingerprint


def settle(dataset: Dataset, lake: str, cache: Path) -> tuple[Output, ...]:
    """The outputs of a dataset's runs, in the order of its models. The pixels are what the first model takes.

    Where pictures have augmented copies, each copy is an output of its own beside the picture's, in the same table.

    Raises ModelMismatch as `resolve.resolve`, ParamsError when the dataset's chain makes another input than a model
    takes.
    """
    settled = []
    for table, declared_model in zip(dataset.vector_tables, dataset.every_model, strict=False):
        model = resolve.resolve(declared_model, lake, cache, dataset.engine, dataset.channels)
        preprocessing = settled_preprocessing(dataset, model)
        fingerprint = model.fingerprint(preprocessing)
        for chain in _of_copies(dataset, preprocessing):
            settled.append(Output(table=table, model=model, preprocessing=chain, fingerprint=fingerprint))
    if dataset.pixels == "keep":
        first = settled[0].preprocessing if settled else _without_model(dataset)
        table = names.pixels_table(dataset.name)
        for chain in _of_copies(dataset, first):
            settled.append(Output(table=table, preprocessing=chain, fingerprint=chain.fingerprint))
    return tuple(settled)


def _of_copies(dataset: Dataset, chain: Preprocessing) -> list[Preprocessing]:
    """The chain of the picture as it is, and that of each copy."""
    return [chain.of_copy(number) for number in range(1 + declared.copies(dataset.preprocess))]


def shard_images(outputs: Sequence[Output], most: int) -> int:
    """The most images of a shard whose pixels a worker holds. most: if each were there once, as RGB."""
    copies = 1 + max(output.copy_number for output in outputs)
    return max(1, min(output.preprocessing.shard_images(most) for output in outputs) // copies)


def settled_preprocessing(dataset: Dataset, model: ModelSpec) -> Preprocessing:
    """The chain that makes the model's input. Raises ParamsError when the dataset's own makes another input."""
    try:
        return declared.settled(_transforms(dataset), model, dataset.channels)
    except ValueError as error:
        raise ParamsError(f"preprocess: {error}") from None


def _transforms(dataset: Dataset) -> tuple[declared.Declared, ...] | None:
    if isinstance(dataset.preprocess, declared.PreprocessorConfig):
        raise ValueError("preprocessor_config: is not replaced by its transforms")
    return dataset.preprocess


def _without_model(dataset: Dataset) -> Preprocessing:
    """The chain where no vectors are computed: the dataset's own, or the default one of its model's size."""
    default = BACKBONES[dataset.model if isinstance(dataset.model, str) else DEFAULT]
    return declared.without_model(_transforms(dataset), default.input_shape, dataset.channels)


def contradictions(outputs: Sequence[Output], dataset: Dataset) -> Iterator[str]:
    """What the outputs of a run.json say that plan cannot have written for the dataset: `field: what is wrong`."""
    numbers = range(1 + declared.copies(dataset.preprocess))
    places = [(table, number) for table in dataset.tables for number in numbers]
    if [(output.table, output.copy_number) for output in outputs] != places:
        yield f"outputs: are not those of the dataset's models and pixels, {', '.join(dataset.tables)}"
    for output in outputs:
        if (output.model is None) != names.is_pixels_table(output.table):
            yield f"outputs: {output.table} is a table of another kind"
            continue
        try:
            expected = settled_preprocessing(dataset, output.model) if output.model else None
            if expected is None:
                expected = outputs[0].preprocessing if outputs[0].model else _without_model(dataset)
            if output.preprocessing.chain != expected.of_copy(output.copy_number).chain:
                yield "preprocessing: is not what the dataset and its model declare"
        except ParamsError as error:
            yield str(error)


def are_current(outputs: Sequence[Output], dataset: Dataset) -> bool:
    """Whether this version computes the same numbers for the outputs. The dataset has as many models."""
    models = dict(zip(dataset.vector_tables, dataset.every_model, strict=False))
    return all(
        (output.model is None or resolve.is_of(output.model, models[output.table], dataset.engine))
        and output.preprocessing.version == VERSION
        and output.fingerprint == output.computed_fingerprint
        for output in outputs
    )


def by_input(outputs: Sequence[Output]) -> list[list[int]]:
    """The outputs by the chain that makes their models' input: numbers of outputs, a list for each distinct chain."""
    by_chain: dict[Preprocessing, list[int]] = {}
    for number, output in enumerate(outputs):
        by_chain.setdefault(output.preprocessing, []).append(number)
    return list(by_chain.values())
