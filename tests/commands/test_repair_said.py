"""`imagefeatures repair`: each line that it says of a table, what it advises, and which tables it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import layout
from imagefeatures.catalog import connect, tables
from imagefeatures.catalog.repair import State, TableReport
from imagefeatures.cli import main
from imagefeatures.commands.repair import SHOWN, _advice, _lines
from imagefeatures.settings import Settings, program
from support.publishing import DAY, features_file

SOUND = TableReport("features.photos", State("s3://b/3.json", ()), None)
EARLIER = State("s3://b/2.json", ())


def damaged(faults: int = 1, **fields: object) -> TableReport:
    current = State("s3://b/3.json", tuple(f"fault {number}" for number in range(faults)), (DAY, "all"))
    return TableReport("features.photos", current, **({"earlier": None} | fields))  # type: ignore[arg-type]


def test_a_sound_table_is_one_line() -> None:
    assert list(_lines(SOUND)) == ["features.photos: sound, s3://b/3.json"]
    older = TableReport("features.photos", SOUND.current, None, newer="s3://b/4.json")
    assert list(_lines(older))[1:] == [
        "  a later commit left s3://b/4.json: is the catalog an older copy than the lake?"
    ]


def test_a_damaged_table_has_its_faults_and_the_way_back() -> None:
    assert list(_lines(damaged())) == [
        "features.photos: damaged, s3://b/3.json",
        "  fault 0",
        f"  partitions to run again, which mends them: {DAY}, all",
        "  no earlier state can be read",
    ]
    without = TableReport("features.photos", State("s3://b/3.json", ("it is empty",)), EARLIER)
    assert list(_lines(without))[2:] == ["  the newest earlier state that can be read: s3://b/2.json"]


@pytest.mark.parametrize(("faults", "more"), [(SHOWN, []), (SHOWN + 1, ["  … and 1 more"])])
def test_only_so_many_faults_are_listed(faults: int, more: list[str]) -> None:
    lines = list(_lines(damaged(faults)))
    assert lines[1 : 1 + SHOWN + len(more)] == [f"  fault {number}" for number in range(SHOWN)] + more
    assert lines[1 + SHOWN + len(more)].startswith("  partitions")


GO_BACK = f"Nothing was changed. {program()} repair --apply goes back to the earlier states named here."
LIST_AGAIN = (
    f"Nothing was changed. If this is the lake's catalog, and its content is lost, {program()} repair --apply "
    "lists the tables again as named here."
)
RUN_AGAIN = "Run the partitions again that were published since: their rows may be in some tables and not in others."


@pytest.mark.parametrize(
    ("count", "applied", "reports", "lost", "said"),
    [
        (0, False, [SOUND], False, []),
        (0, True, [SOUND], False, []),
        (1, False, [SOUND, damaged(earlier=EARLIER)], False, [GO_BACK]),
        (0, False, [damaged(earlier=EARLIER)], False, []),  # another table was asked about
        (1, False, [damaged()], False, []),
        (1, True, [damaged()], False, []),
        (0, True, [damaged(earlier=EARLIER)], False, [RUN_AGAIN]),
        (1, False, [], True, [LIST_AGAIN]),
        (0, True, [], True, [RUN_AGAIN]),
    ],
)
def test_the_advice_is_what_can_be_done(
    count: int, applied: bool, reports: list[TableReport], lost: bool, said: list[str]
) -> None:
    assert list(_advice(count, applied, reports, lost)) == said


@pytest.fixture
def two_tables(settings: Settings, tmp_path: Path) -> list[str]:
    """features.nuts and features.photos, with a row each."""
    with tables.open_catalog(settings) as catalog:
        for name in ("nuts", "photos"):
            tables.replace_files(tables.open_table(catalog, settings, name), DAY, [features_file(tmp_path, "1")], "1")
    return ["features.nuts", "features.photos"]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    status = main(["repair", *words])
    out, err = capsys.readouterr()
    return status, (out + err).splitlines()


def test_a_table_that_is_named_is_the_only_one(two_tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, both = told(capsys)
    assert (status, [line.partition(":")[0] for line in both]) == (0, two_tables)
    assert told(capsys, "photos") == (0, both[1:])
    assert told(capsys, "features.nuts", "--apply") == (0, both[:1])
    assert told(capsys, "plums") == (65, [f"imagefeatures: TABLE: features.plums: the catalog has {two_tables}"])


def test_a_table_that_was_dropped_is_damaged_only_where_it_is_named(
    two_tables: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = tables.open_catalog(settings)
    uri = catalog.load_table("features.nuts").metadata_location
    catalog.drop_table("features.nuts")
    _, (_, photos) = told(capsys)
    line = f"features.nuts: not in the catalog, {uri}"
    assert told(capsys) == (0, [line, photos])
    assert told(capsys, "nuts") == (1, [line])
    assert told(capsys, "photos") == (0, [line, photos])
    assert not catalog.table_exists("features.nuts")
    for file in Path(uri.removeprefix("file://")).parent.glob("*.metadata.json"):
        file.write_bytes(b"")
    gone = "features.nuts: not in the catalog, and it cannot be read"
    assert told(capsys, "nuts", "--apply") == (1, [gone])


def test_a_lost_catalog_and_an_empty_lake(
    two_tables: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(settings.lake.removeprefix("file://"), "catalog.db").unlink()
    status, lines = told(capsys)
    assert (status, lines[-1], len(lines)) == (1, LIST_AGAIN, 3)
    status, again = told(capsys, "--apply")
    assert (status, again) == (0, [lines[0], "  listed again", lines[1], "  listed again", RUN_AGAIN])
    assert [name for _, name in tables.open_catalog(settings).list_tables("features")] == ["nuts", "photos"]


def test_a_lake_in_which_nothing_is_published_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"{connect.describe(settings.catalog)}: nothing is published yet"
    assert told(capsys) == (0, [said])
    assert not Path(layout.warehouse(settings.lake).removeprefix("file://")).exists()
    assert told(capsys, "--apply") == (0, [said])
