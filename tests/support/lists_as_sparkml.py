"""What a fit needs of DataFrames and SparkML, done with lists: which rows and columns are fitted, by which stages.

Nothing is learned here. What SparkML learns by the same names is tested in tests/suites/classify.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

Row = dict[str, Any]


class Column:
    """of: its value in a row."""

    def __init__(self, of: Callable[[Row], Any]) -> None:
        self.of = of

    def __and__(self, other: Column) -> Column:
        return Column(lambda row: self.of(row) and other.of(row))

    def __or__(self, other: Column) -> Column:
        return Column(lambda row: self.of(row) or other.of(row))

    def __invert__(self) -> Column:
        return Column(lambda row: not self.of(row))

    def __lt__(self, other: Column) -> Column:
        return Column(lambda row: self.of(row) < other.of(row))

    def __le__(self, other: Column) -> Column:
        return Column(lambda row: self.of(row) <= other.of(row))

    def __getitem__(self, key: Column) -> Column:
        return Column(lambda row: self.of(row)[key.of(row)])

    def isin(self, *values: Any) -> Column:
        return Column(lambda row: self.of(row) in values)


def _sha2(text: Column, bits: int) -> Column:
    return Column(lambda row: hashlib.new(f"sha{bits}", text.of(row).encode()).hexdigest())


def _create_map(*parts: Column) -> Column:
    pairs = [*zip(parts[::2], parts[1::2], strict=True)]
    return Column(lambda row: {key.of(row): value.of(row) for key, value in pairs})


FUNCTIONS = SimpleNamespace(
    col=lambda name: Column(lambda row: row[name]),
    lit=lambda value: Column(lambda _: value),
    concat=lambda *texts: Column(lambda row: "".join(text.of(row) for text in texts)),
    create_map=_create_map,
    sha2=_sha2,
)


class Rows:
    """A DataFrame: what it has is computed whenever it is looked at, and once where it persists."""

    sparkSession = SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=2))

    def __init__(self, compute: Callable[[], Iterable[Row]]) -> None:
        self.compute = compute

    def where(self, condition: Column) -> Rows:
        return Rows(lambda: filter(condition.of, self.compute()))

    def select(self, *names: str) -> Rows:
        return Rows(lambda: ({name: row[name] for name in names} for row in self.compute()))

    def with_column(self, name: str, column: Column) -> Rows:
        return Rows(lambda: (row | {name: column.of(row)} for row in self.compute()))

    def coalesce(self, parts: int) -> Rows:
        return self

    def persist(self, _: Any) -> Rows:
        return Rows(functools.cache(self.collect))

    def count(self) -> int:
        return len(self.collect())

    def collect(self) -> list[Row]:
        return [*self.compute()]


class Stage:
    """An estimator and, once there are rows to which it is `fitted`, its model.

    given: its parameters. made: how many values it has transformed.
    """

    def __init__(self, **given: Any) -> None:
        self.given, self.fitted, self.made = given, list[Row](), 0

    def fit(self, rows: Rows) -> Stage:
        self.fitted = rows.collect()
        return self

    def transform(self, rows: Rows) -> Rows:
        def made_of(row: Row) -> Any:
            self.made += 1
            return self.made_of(row[self.given["inputCol"]])

        return rows.with_column(self.given["outputCol"], Column(made_of))

    def made_of(self, value: Any) -> Any:
        return value


class StandardScaler(Stage):
    @property
    def mean(self) -> Any:
        return self.fitted[0][self.given["inputCol"]]


class PCA(Stage):
    """variances: of what there is, along the principal components."""

    variances: tuple[float, ...] = ()

    @property
    def explainedVariance(self) -> Any:
        return SimpleNamespace(toArray=lambda: np.array(self.variances[: self.given["k"]]))

    def made_of(self, value: Any) -> Any:
        return value[: self.given["k"]]


class StringIndexerModel(Stage):
    @classmethod
    def from_labels(cls, labels: list[str], **given: Any) -> StringIndexerModel:
        return cls(labels=labels, **given)

    def made_of(self, value: Any) -> Any:
        return float(self.given["labels"].index(value))


class IndexToString(Stage):
    pass


class _Classifier(Stage):
    def fit(self, rows: Rows) -> Stage:
        super().fit(rows)
        return super().fit(rows)  # SparkML goes over them again and again


class LogisticRegression(_Classifier):
    pass


class RandomForestClassifier(_Classifier):
    pass


class MultilayerPerceptronClassifier(_Classifier):
    pass


class Pipeline(Stage):
    @property
    def stages(self) -> list[Stage]:
        found: list[Stage] = self.given["stages"]
        return found


def stand_in(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """In the module, put what is here in the place of PySpark's classes and functions of the same names."""
    monkeypatch.setattr(module, "F", FUNCTIONS)
    stages = (StandardScaler, PCA, StringIndexerModel, IndexToString, Pipeline)
    for own in (*stages, LogisticRegression, RandomForestClassifier, MultilayerPerceptronClassifier):
        monkeypatch.setattr(module, own.__name__, own)
