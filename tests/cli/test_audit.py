"""`huleedu audit`: a day or several, printed or written."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from huleedu_dagster.cli.app import build_app
from huleedu_dagster.cli.common import Exit
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.settings import Settings
from tests.support.fakes import START
from tests.support.workshop import GOOD, Workshop

MANY_DAYS = 3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which a batch was done on each of three days."""
    home = tmp_path / "home"
    settings = Settings(home=home)
    settings.make_home()
    shop = Workshop(tmp_path / "shop", ledger=Ledger(settings.resolved_ledger_url))
    shop.ledger._clock = shop.clock
    shop.ledger.migrate()
    for number in range(MANY_DAYS):
        batch = f"class-{number}"
        shop.register(batch, expected=2)
        shop.receive("a.txt", GOOD + b" %d" % number, batch_id=batch)
        shop.receive("student-name.txt", b"", batch_id=batch)
        shop.clock.advance(60 * (number + 1))
        shop.process_pending()
        shop.release(batch)
        shop.clock.now = START + timedelta(days=number + 1)
    shop.ledger.close()
    return home


def run(home: Path, *arguments: str, code: int = 0) -> str:
    """What the command prints."""
    result = CliRunner().invoke(build_app(), ["audit", *arguments, "--home", str(home)])
    assert result.exit_code == code, result.output
    return result.output


def told(home: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(home, *arguments, "--json"))
    return found


def day(number: int) -> str:
    return (START + timedelta(days=number)).date().isoformat()


def test_a_day_is_printed_as_tables(home: Path) -> None:
    printed = run(home, day(0))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    assert ["received", "2"] in rows
    assert ["rejected_EMPTY_CONTENT", "1"] in rows
    assert "Who did what" in printed
    assert "student-name" not in printed


def test_several_days_are_the_sum_of_each_and_their_percentiles_are_of_all(home: Path) -> None:
    days = [told(home, day(number)) for number in range(MANY_DAYS)]
    span = told(home, "--from", day(0), "--to", day(MANY_DAYS - 1))
    summed: Counter[str] = Counter()
    for it in days:
        summed.update(it["totals"])
    assert span["totals"] == summed
    assert [it["batch_id"] for it in span["batches"]] == ["class-0", "class-1", "class-2"]
    assert len(span["hours"]) == 24 * MANY_DAYS
    seconds = [it["seconds"]["registration_to_release"]["max"] for it in days]
    assert span["seconds"]["registration_to_release"]["count"] == MANY_DAYS
    assert span["seconds"]["registration_to_release"]["p50"] == sorted(seconds)[1]


def test_a_day_on_which_nothing_happened_is_all_noughts(home: Path) -> None:
    found = told(home, "2026-01-01")
    assert set(found["totals"].values()) == {0}
    assert found["batches"] == []
    assert found["seconds"]["file_to_outcome"]["p50"] is None
    assert "<svg" not in run(home, "2026-01-01", "--html")


def test_without_a_day_it_is_today(home: Path) -> None:
    before = datetime.now(UTC).date().isoformat()
    found = told(home)["first_day"]
    assert before <= found <= datetime.now(UTC).date().isoformat()


def test_csv_and_page_are_printed_as_they_are(home: Path) -> None:
    table = list(csv.DictReader(io.StringIO(run(home, day(1), "--csv"))))
    assert [(it["batch_id"], it["accepted"]) for it in table] == [("class-1", "1")]
    page = run(home, day(1), "--html")
    assert page.startswith("<!doctype html>")
    assert "class-1" in page


def test_all_forms_are_written_into_a_folder(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    printed = run(home, "--from", day(0), "--to", day(1), "--output", str(folder))
    name = f"audit-{day(0)}-to-{day(1)}"
    names = ["-batches.parquet", "-essays.parquet", ".csv", ".html", ".json"]
    assert sorted(it.name for it in folder.iterdir()) == [f"{name}{it}" for it in names]
    assert sorted(printed.splitlines()) == sorted(map(str, folder.iterdir()))
    essays = pd.read_parquet(folder / f"{name}-essays.parquet")
    assert list(essays["outcome"]) == ["accepted", "rejected"] * 2


def test_only_the_forms_that_are_asked_for_are_written(home: Path, tmp_path: Path) -> None:
    run(home, day(0), "--json", "--csv", "--output", str(tmp_path / "out"))
    assert {it.suffix for it in (tmp_path / "out").iterdir()} == {".json", ".csv"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["yesterday"], "a day is written as 2026-11-22"),
        (["--from", "2026-11-22"], "both, --from and --to"),
        (["--from", "2026-11-22", "--to", "2026-11-21"], "not before its first"),
        (["2026-11-22", "--from", "2026-11-22", "--to", "2026-11-22"], "either a day"),
        (["2026-11-22", "--json", "--csv"], "--output FOLDER"),
        (["9999-12-31"], "a day is from 2000-01-01 to 2999-12-31"),
        (["0001-01-01"], "a day is from 2000-01-01 to 2999-12-31"),
        (["--from", "2000-01-01", "--to", "2026-11-22"], "at most 3660 days"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(
    home: Path, arguments: list[str], said: str
) -> None:
    assert said in run(home, *arguments, code=Exit.USAGE)


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(home: Path, tmp_path: Path) -> None:
    taken = tmp_path / "a-file"
    taken.touch()
    said = run(home, day(0), "--output", str(taken), code=Exit.INFRASTRUCTURE)
    assert "cannot be written" in said
    assert "another folder" in said
