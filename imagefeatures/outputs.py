"""The outputs of a run: one table for each model, settled by plan and written to run.json.

The first output is the table of the dataset's own name. Each step names its files by output, in the same order, and
register publishes all outputs or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.models.own import resolve
from imagefeatures.models.spec import ModelSpec
from imagefeatures.preprocessing import VERSION, Preprocessing, declared
from imagefeatures.strict import FrozenModel


class Output(FrozenModel):
    """One table that a run fills: its name in the namespace, and what defines the numbers in it.

    fingerprint: of the model with the preprocessing. Rows of the table with the same one are reused.
    """

    table: str = Field(pattern=names.DATASET_NAME)
    model: ModelSpec
    preprocessing: Preprocessing
    fingerprint: str


def settle(dataset: Dataset, lake: str, cache: Path) -> tuple[Output, ...]:
    """The outputs of a dataset's runs, in the order of its models.

    Raises ModelMismatch as `resolve.resolve`, ParamsError when the dataset's chain makes another input than a model
    takes.
    """
    settled = []
    for table, declared_model in zip(dataset.tables, dataset.every_model, strict=True):
        model = resolve.resolve(declared_model, lake, cache)
        preprocessing = settled_preprocessing(dataset, model)
        fingerprint = model.fingerprint(preprocessing)
        settled.append(Output(table=table, model=model, preprocessing=preprocessing, fingerprint=fingerprint))
    return tuple(settled)


def settled_preprocessing(dataset: Dataset, model: ModelSpec) -> Preprocessing:
    """The chain that makes the model's input. Raises ParamsError when the dataset's own makes another input."""
    try:
        return declared.settled(dataset.preprocess, model)
    except ValueError as error:
        raise ParamsError(f"preprocess: {error}") from None


def contradictions(outputs: Sequence[Output], dataset: Dataset) -> Iterator[str]:
    """What the outputs of a run.json say that plan cannot have written for the dataset: `field: what is wrong`."""
    if [output.table for output in outputs] != list(dataset.tables):
        yield f"outputs: are not those of the dataset's models, {', '.join(dataset.tables)}"
    for output in outputs:
        try:
            if output.preprocessing.chain != settled_preprocessing(dataset, output.model).chain:
                yield "preprocessing: is not what the dataset and its model declare"
        except ParamsError as error:
            yield str(error)


def are_current(outputs: Sequence[Output], dataset: Dataset) -> bool:
    """Whether this version computes the same numbers for the outputs. The dataset has as many models."""
    return all(
        resolve.is_of(output.model, model)
        and output.preprocessing.version == VERSION
        and output.fingerprint == output.model.fingerprint(output.preprocessing)
        for output, model in zip(outputs, dataset.every_model, strict=True)
    )


def by_input(outputs: Sequence[Output]) -> list[list[int]]:
    """The outputs by the chain that makes their models' input: numbers of outputs, a list for each distinct chain."""
    by_chain: dict[Preprocessing, list[int]] = {}
    for number, output in enumerate(outputs):
        by_chain.setdefault(output.preprocessing, []).append(number)
    return list(by_chain.values())
