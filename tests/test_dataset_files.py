"""A wall around each dataset file: whatever it holds, its own DatasetError is all that comes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagefeatures.dataset_files import (
    DEEPEST,
    MOST_ALIASES,
    MOST_BYTES,
    MOST_EVENTS,
    find_dataset,
    load_dataset,
    load_datasets,
)
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError
from support.dataset_files import GOOD, written

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
NAMED = "name: fruit\nsource: s3://b/\n"

TEXTS: dict[str, str | bytes] = {
    "a thousand lists": "[" * 1000,
    "a thousand mappings": "{a: " * 1000,
    "a thousand lists in a field": f"{NAMED}pattern: " + "[" * 1000 + "]" * 1000,
    "a thousand entries of lists": "- " * 1000,
    "a thousand keys that are mappings": "? " * 1000,
    "mappings by indentation": "".join(" " * at + "a:\n" for at in range(250)),
    "nine lists": f"{NAMED}pattern: " + "[" * DEEPEST + "]" * DEEPEST,
    "a billion laughs": LAUGHS,
    "a billion laughs in a field": NAMED + LAUGHS + "pattern: *i\n",
    "eleven aliases": f"{NAMED}pattern: [&a x{', *a' * (MOST_ALIASES + 1)}]",
    "an alias of itself": "name: fruit\nsource: &a [*a]\n",
    "a mapping that holds itself": "&a {name: fruit, source: *a}\n",
    "merges": f"{NAMED}a: &a {{x: 1}}\nb: &b {{<<: [*a, *a, *a]}}\nc: {{<<: [*b, *b, *b]}}\n",
    "more than the most bytes": NAMED + "#" * MOST_BYTES,
    "one long line": b"x" * (MOST_BYTES - 1),
    "a list of all its bytes": f"{NAMED}pattern: [{'1,' * 30_000}]",
    "a key twice": f"{NAMED}sample: 0.5\nsample: 1\n",
    "a key twice in quotes": f'{NAMED}"name": fruit\n',
    "a key twice in limits": f"{NAMED}limits: {{max_pixels: 1, max_pixels: 2}}",
    "a name twice": "name: fruit\nname: fruit\nsource: s3://b/\n",
    "a key that is a list": f"{NAMED}[a]: b\n",
    "a key that is a number": f"{NAMED}7: b\n",
    "a key with a newline": f'{NAMED}"a\\nb": c\n',
    "a key of many characters": f"{NAMED}{'k' * 900}: c\n",
    "ten thousand keys": NAMED + "".join(f"k{at}: 1\n" for at in range(6000)),
    "a number of many digits": f"{NAMED}sample: {'9' * 20_000}\n",
    "a number of many digits in base 16": f"{NAMED}sample: 0x{'f' * 20_000}\n",
    "a number in base 60": f"{NAMED}sample: 1{':01' * 15_000}\n",
    "a huge exponent": f"{NAMED}sample: 1e999999999\n",
    "a NUL in the source": 'name: fruit\nsource: "s3://b/\\0/"\n',
    "a NUL in the label": f'{NAMED}label: "(\\0)"\n',
    "half a character": 'name: fruit\nsource: "s3://b/\\ud800/"\n',
    "a NUL in a key": f'{NAMED}"a\\0": 1\n',
    "bytes": b"name: \xff\xfe",
    "a NUL": b"name: fruit\0",
    "a control character": b"name: fruit\x1b[2J",
    "two documents": f"{NAMED}---\n{NAMED}",
    "an unknown anchor": f"{NAMED}pattern: *nowhere\n",
    "a tag of Python": "!!python/object/apply:os.system [id]",
    "a tag of its own": f"{NAMED}label: !unknown x\n",
    "a directive": f"%YAML 9.9\n---\n{NAMED}",
    "an expression too deep": f"{NAMED}label: '{'(' * 5000}a{')' * 5000}'\n",
    "binary data": f"{NAMED}label: !!binary aGVsbG8=\n",
    "a set": f"{NAMED}pattern: !!set {{a, b}}\n",
    "nothing": "",
}
"""Texts of which no dataset can be made."""


def test_the_work_for_a_file_of_many_values_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow parses the folder for each file of DAGs. After half a minute it gives up, with all datasets' DAGs."""
    parsed = 0
    real = yaml.parse

    def counted(*given: Any) -> Iterator[yaml.Event]:
        nonlocal parsed
        for event in real(*given):
            parsed += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    path = tmp_path / "fruit.yaml"
    path.write_text(f"{NAMED}pattern: [{'.1,' * 20_000}]")
    says = r"^fruit\.yaml: line 3: more than 2,000 keys and values, the most of a dataset file$"
    with pytest.raises(DatasetError, match=says):
        load_dataset(path)
    assert parsed == MOST_EVENTS + 1
    path.write_text(f"{NAMED}pattern: [{'a,' * 1_900}]")
    assert load_dataset(path).name == "fruit"


@pytest.mark.parametrize(
    ("lines", "line", "sign"),
    [
        ("pattern: *.jpg", 3, "*"),
        ("pattern: [*.jpg, *.png]", 3, "*"),
        ("pattern:\n  - '*.jpg'\n  - *.png", 5, "*"),
        ("pattern: *jpg", 3, "*"),
        ("pattern: [*jpg\nlimits: {}", 3, "*"),  # the fault is seen in the line after it
        ("pattern: **/x.jpg", 3, "*"),
        ("exclude: @eaDir/", 3, "@"),
        ("exclude: !x.jpg", 3, "!"),
        ("exclude: %x", 3, "%"),
        ("exclude: `x`", 3, "`"),
        ("exclude: &x.jpg", 3, "&"),
        ("pattern: [ab]*.jpg", 3, "["),
        ("pattern: {a,b}.jpg", 3, "{"),
        ("limits:\n  formats: [JPEG]\npattern: *", 5, "*"),
    ],
)
def test_a_pattern_without_its_quotes_is_told_so(tmp_path: Path, lines: str, line: int, sign: str) -> None:
    path = tmp_path / "fruit.yaml"
    path.write_text(f"name: fruit\nsource: s3://b/\n{lines}\n")
    says = f'fruit.yaml: line {line}: a text with {sign} at its start must be quoted, as in "*.jpg"'
    with pytest.raises(DatasetError) as refused:
        load_dataset(path)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    "lines", ['pattern: ["*.jpg", "*.png"', "pattern: '*.jpg", "limits: {formats: [JPEG]", "a: b: c"]
)
def test_another_mistake_of_yaml_is_told_in_its_own_words(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "fruit.yaml"
    path.write_text(f"name: fruit\nsource: s3://b/\n{lines}\n")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: not YAML: "):
        load_dataset(path)


DEEP, ALIASES = "more than 8 mappings and lists inside each other", "more than 10 YAML aliases"
NO_KIND = "could not determine a constructor for the tag 'tag:yaml.org,2002:"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("pattern: [[[[[[[x]]]]]]]", "pattern.0: "),  # eight with the mapping of the file
        ("pattern: [[[[[[[[x]]]]]]]]", f"line 3: {DEEP}"),
        ("limits: {}\nsample: []\npattern: [[[[[[[x]]]]]]]", "pattern.0: "),  # after others, which have ended
        ("limits: {}\nsample: []\npattern: [[[[[[[[x]]]]]]]]", f"line 5: {DEEP}"),
        ("pattern: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}", f"line 3: {DEEP}"),
        (f"pattern: [&a x{', *a' * 10}]", None),
        ("pattern:\n- &a x" + "\n- *a" * 11, f"line 15: {ALIASES}"),
        ("limits: &a {max_pixels: 9, b: *a}", "line 3: *a stands inside what it repeats"),
        ("pattern: [x,\n&b [[*b]]]", "line 4: *b stands inside what it repeats"),
        ("pattern: [&a x, &b y, *a, *b]", None),
        *((f"pattern: !!{kind} [a: b]", f"not YAML: {NO_KIND}{kind}' in ") for kind in ("omap", "pairs", "binary")),
        ("#" * (MOST_BYTES - len(NAMED) - 1), None),
        ("#" * (MOST_BYTES - len(NAMED)), "has more than 65,536 bytes, the most of a dataset file"),
    ],
    ids=lambda value: value[:30] if value else "taken",
)
def test_a_file_holds_no_more_than_a_dataset_needs(lines: str, says: str | None, tmp_path: Path) -> None:
    found = None
    try:
        load_dataset(written(tmp_path, f"{NAMED}{lines}\n"))
    except DatasetError as error:
        found = str(error)
    assert found is None if says is None else found is not None and found.startswith(f"fruit.yaml: {says}")


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_is_no_dataset_is_its_files_own_error(what: str, tmp_path: Path) -> None:
    text = TEXTS[what]
    (tmp_path / "fruit.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    written(tmp_path, GOOD | {"name": "nuts"}, "nuts.yaml")
    started = time.process_time()
    datasets, errors = load_datasets(tmp_path)
    seconds = time.process_time() - started
    assert [dataset.name for dataset in datasets] == ["nuts"]
    (error,) = map(str, errors)
    assert error.startswith("fruit.yaml: ")
    assert error.isprintable()
    assert len(error) < 20_000
    assert seconds < 5, f"{seconds:.1f} s"


def test_a_file_that_is_none_and_one_that_is_missing_are_told_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^no dataset file for 'fruit' in .* \(known: none\)$"):
        find_dataset(tmp_path, "fruit")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: cannot be read: No such file or directory$"):
        load_dataset(tmp_path / "fruit.yaml")
    os.mkfifo(tmp_path / "fruit.yaml")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: is not a file$"):
        load_dataset(tmp_path / "fruit.yaml")


PLACES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
}


@pytest.mark.parametrize("what", PLACES)
def test_a_thing_that_is_no_file_is_its_own_error(what: str, tmp_path: Path) -> None:
    PLACES[what](tmp_path / "fruit.yaml")
    written(tmp_path, GOOD | {"name": "nuts"}, "nuts.yaml")
    descriptor = os.dup(0)
    os.close(descriptor)
    datasets, errors = load_datasets(tmp_path)
    assert os.dup(0) == descriptor, "a server that reads the folder again and again would run out of descriptors"
    os.close(descriptor)
    assert [dataset.name for dataset in datasets] == ["nuts"]
    assert [str(error).partition(": ")[0] for error in errors] == ["fruit.yaml"]


def test_an_error_shows_nothing_of_a_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("# of the service\nstore: key: hunter2\n")
    (tmp_path / "fruit.yaml").symlink_to("secret")
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: not YAML: .* line 2, column 11$") as refused:
        load_dataset(tmp_path / "fruit.yaml")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", [b"a\nb.yaml", b"\xff.yaml", b"\x1b[2J.yaml", b".yaml", b"a" * 250 + b".yaml"])
def test_a_file_with_an_odd_name_is_an_error_that_can_be_stored(name: bytes, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text(NAMED)
    datasets, errors = load_datasets(tmp_path)
    assert datasets == []
    for error in errors:
        assert str(error).isprintable()
        str(error).encode()


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), KeyError("a"), AttributeError("b")])
def test_any_error_is_the_files_own(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures.datasets import Dataset

    def fail(content: object) -> Dataset:
        raise error

    monkeypatch.setattr(Dataset, "model_validate", fail)
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: cannot be read: {type(error).__name__}: "):
        load_dataset(written(tmp_path, GOOD))


@pytest.mark.parametrize(
    "text",
    [
        f"{NAMED}limits: &l {{max_pixels: 5}}\n",
        f"{NAMED}pattern: [&jpg '*.jpg', '*.png']\n",
        "name: fruit\nsource: {kind: folder, uri: s3://b/, pattern: ['*.jpg']}\nlimits: {formats: [JPEG, PNG]}\n",
        f"{NAMED}schedule: '0 0 * * mon-fri'\n",
        f"{NAMED}schedule: '0 0 1,15 jan-jun *'\n",
        f"{NAMED}schedule: '0 0 L * *'\n",
        f"{NAMED}schedule: '0 0 29 2 *'\n",
        f"{NAMED}label: '([0-9]+)\\t'\n",
        f"{NAMED}# {'é' * 30_000}\n",
    ],
)
def test_what_a_good_file_may_hold_is_taken(text: str, tmp_path: Path) -> None:
    assert load_dataset(written(tmp_path, text)).name == "fruit"


def test_a_models_table_that_is_another_datasets_is_refused_and_stops_no_other(tmp_path: Path) -> None:
    written(tmp_path, GOOD | {"models": ["mobilenet_v2", "resnet50"]})
    assert len(load_datasets(tmp_path)[0]) == 1
    for suffix in ("yml", "yaml"):
        written(tmp_path, GOOD | {"name": "fruit__resnet50"}, f"fruit__resnet50.{suffix}")
        datasets, errors = load_datasets(tmp_path)
        assert [dataset.name for dataset in datasets] == ["fruit__resnet50"]
        says = f"fruit.yaml: models: the table features.fruit__resnet50 is that of fruit__resnet50.{suffix}; rename one"
        assert [str(error).startswith(says) for error in errors] == [True]
        with pytest.raises(DatasetError, match="is that of fruit__resnet50"):
            find_dataset(tmp_path, "fruit")
        (tmp_path / f"fruit__resnet50.{suffix}").unlink()


def test_files_of_several_models_lie_beside_the_dataset_file(tmp_path: Path) -> None:
    own = {"name": "birds", "uri": "birds.onnx", "normalize": "tf"}
    dataset = load_dataset(written(tmp_path, GOOD | {"models": [own, "resnet50", own | {"name": "more"}]}))
    uris = [model if isinstance(model, str) else model.uri for model in dataset.every_model]
    assert uris == [f"file://{tmp_path}/birds.onnx", "resnet50", f"file://{tmp_path}/birds.onnx"]
    assert dataset.model == dataset.every_model[0]
    assert Dataset.model_validate_json(dataset.model_dump_json()) == dataset
