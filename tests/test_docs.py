"""The documents agree with the code: settings, reasons, errors, steps, columns, files, links."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import errors, schemas, steps
from imagefeatures.learning import columns
from imagefeatures.reasons import Reason
from imagefeatures.remedies import REMEDIES
from imagefeatures.settings import REPOSITORY
from support.snippets import DOCUMENTS, anchors, codes, links, plain, section, sections

CONFIGURATION = REPOSITORY / "docs" / "configuration.md"
RUNNING = REPOSITORY / "docs" / "running.md"
TROUBLESHOOTING = REPOSITORY / "docs" / "troubleshooting.md"
TABLES = REPOSITORY / "docs" / "tables.md"
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "imagefeatures").rglob("*.py"))}


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def first_column(rows: list[list[str]]) -> list[str]:
    return [plain(row[0]) for row in rows]


def test_every_setting_is_documented_and_no_other() -> None:
    read = set(re.findall(r"\bIMAGEFEATURES_[A-Z_]+\b", SOURCES[REPOSITORY / "imagefeatures" / "settings.py"]))
    (settings,) = section(CONFIGURATION, "Settings").tables
    assert set(first_column(settings)) == read
    for path in DOCUMENTS:
        assert set(re.findall(r"\bIMAGEFEATURES_[A-Z_]+\b", path.read_text())) <= read, path


def test_every_aws_variable_that_is_passed_on_is_documented() -> None:
    read = set(re.findall(r'"(AWS_[A-Z_0-9]+)"', SOURCES[REPOSITORY / "imagefeatures" / "settings.py"]))
    (table,) = section(CONFIGURATION, "S3").tables
    assert set(re.findall(r"AWS_[A-Z_0-9]+", " ".join(first_column(table)))) == read
    assert "AWS_ENDPOINT_URL" in read


def test_every_reason_is_documented_and_no_other() -> None:
    (table,) = section(TROUBLESHOOTING, "Reason codes").tables
    assert first_column(table) == list(Reason)
    assert all(row[2] for row in table)
    assert {plain(row[0]): plain(row[-1]) for row in table} == REMEDIES  # the same as the page says


def test_a_reason_is_said_to_be_unused_exactly_while_it_is() -> None:
    raised = {found for text in SOURCES.values() for found in re.findall(r"\bReason\.([A-Z_]+)\b", text)}
    (table,) = section(TROUBLESHOOTING, "Reason codes").tables
    unused = {plain(row[0]) for row in table if "Not raised yet" in row[2]}
    assert unused == set(Reason) - raised
    assert {plain(row[0]) for row in table if row[1] == "none"} == unused


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_document_invents_a_code(path: Path) -> None:
    messages = {found for text in SOURCES.values() for found in re.findall(r"\b([A-Z]+_[A-Z_]+): ", text)}
    assert {"NO_INPUT", "MODEL_MISMATCH"} <= messages
    variables = ("IMAGEFEATURES_", "AWS_", "AIRFLOW_", "SPARK_", "PYSPARK_", "CUDA_", "EX_", "SSL_")
    named = {code for code in codes(path) if re.fullmatch(r"[A-Z]{4,}(_[A-Z]+)*|[A-Z]+(_[A-Z]+)+", code)}
    compose = set(re.findall(r"^(?:# )?([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    assert {code for code in named if not code.startswith(variables)} <= set(Reason) | messages | compose


def test_every_error_that_can_stop_a_run_is_documented_and_no_other() -> None:
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = [kind for kind in tree if issubclass(kind, errors.ImageFeaturesError)]
    last = {kind.__name__ for kind in ours if not any(issubclass(o, kind) and o is not kind for o in ours)}
    (table,) = section(TROUBLESHOOTING, "Errors").tables
    assert set(first_column(table)) == last
    assert first_column(table)[-1] == "StoreError"  # the text above the table calls the last one retried
    assert f"exit status {errors.EXIT_INPUT_ERROR}" in " ".join(section(TROUBLESHOOTING, "Errors").text.split())


def test_every_step_is_documented_with_errors_that_exist() -> None:
    (table,) = section(RUNNING, "Steps").tables
    assert first_column(table) == ["plan", "model", *steps.SPARK_STEPS, "register", "statistics"]
    for row in table:
        for error in plain(row[3]).split(", "):
            assert issubclass(getattr(errors, error), errors.ImageFeaturesError)


@pytest.mark.parametrize(
    ("title", "schema"),
    [
        ("features.<dataset>", schemas.FEATURES),
        ("features.<dataset>_pixels", schemas.of_table("fruit_pixels")),
        ("features.quarantine", schemas.QUARANTINE),
        ("features.runs", schemas.RUNS),
        ("features.withdrawals", schemas.WITHDRAWALS),
        ("features.forgotten", schemas.FORGOTTEN),
        ("features.statistics", schemas.STATISTICS),
        ("learning.evaluations", columns.EVALUATIONS),
        ("learning.<dataset>_predictions", columns.PREDICTIONS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_column_is_documented_as_the_table_has_it(title: str, schema: pa.Schema) -> None:
    (table,) = section(TABLES, title).tables
    documented = [tuple(plain(cell) for cell in row) for row in table]
    assert documented == [
        (field.name, iceberg(field.type), "yes" if field.nullable else "no", field.metadata[b"doc"].decode())
        for field in schema
    ]


def iceberg(kind: pa.DataType) -> str:
    """An Arrow type by Iceberg's name."""
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "fixed[n]"
    if pa.types.is_list(kind):
        return f"list<{iceberg(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {iceberg(field.type)}' for field in kind)}>"
    if pa.types.is_map(kind):
        return f"map<{iceberg(kind.key_type)}, {iceberg(kind.item_type)}>"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return {"int32": "int", "int64": "long", "bool": "boolean"}.get(str(kind), str(kind))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    for code in codes(path):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/[\w-]+\.(py|toml|txt|in|yaml)", code):
            assert (REPOSITORY / code).is_file() or (REPOSITORY / "plugins" / code).is_file(), code


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        target, _, fragment = link.partition("#")
        if "://" in target:
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        assert not fragment or fragment in anchors(found), link


def test_the_pages_that_are_attacked_are_counted() -> None:
    tests = (REPOSITORY / "tests" / "plugins" / "web" / "test_web_browser.py").read_text(encoding="utf-8")
    (paths,) = re.findall(r"^PATHS = \(\n(.*?)^\)", tests, re.MULTILINE | re.DOTALL)
    security = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"on {len(paths.splitlines())} pages in Chromium" in security


def test_the_index_of_decisions_is_whole() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert links(folder / "README.md") == pages
    assert [int(page[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert [part.title for part in sections(folder / page)][2:] == ["Context", "Choice", "Price"], page
        at, _, title = sections(folder / page)[1].title.partition(". ")
        assert f"{int(at)}. [{title}]({page})" in (folder / "README.md").read_text().replace("`", ""), page


def test_no_file_holds_a_path_of_one_machine() -> None:
    places = re.compile("/" + "(?:work|root|home/[a-z]+|Users/[A-Za-z]+)/")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for path in (REPOSITORY / file for file in listed):
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # binary files; files removed from the work tree
            continue
        found += [f"{name(path)}: {place}" for place in places.findall(text)]
    assert len(listed) > 50
    assert found == []
