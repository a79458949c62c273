"""`huleedu status` of many batches: what it shows, what it leaves out, and that it says so."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.cli import batches
from huleedu_dagster.ledger.ledger import Ledger
from tests.cli.in_process import Huleedu
from tests.contract.test_batch_lists import finish, register
from tests.support.fakes import ManualClock
from tests.support.ledger import new_ledger

NAMES = [f"class-{number}" for number in range(1, 8)]


@pytest.fixture
def huleedu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Huleedu:
    """The commands, which show two batches that are done and read three at once."""
    monkeypatch.setattr(batches, "_LATEST", 2)
    monkeypatch.setattr(batches, "_PAGE", 3)
    return Huleedu(tmp_path, monkeypatch, capsys)


@pytest.fixture
def ledger(huleedu: Huleedu) -> Iterator[Ledger]:
    """Seven batches, of which the third is open."""
    clock = ManualClock()
    found = new_ledger(huleedu.home / "ledger.db", clock=clock)
    register(found, clock, *NAMES)
    with found.write() as tx:
        for name in NAMES[:2] + NAMES[3:]:
            finish(tx, name)
    yield found
    found.close()


@pytest.mark.usefixtures("ledger")
def test_those_that_are_not_done_and_the_latest_are_shown_and_the_rest_is_counted(
    huleedu: Huleedu, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = huleedu("status")
    assert [name for name in NAMES if name in shown] == ["class-3", "class-6", "class-7"]
    assert "Left out: 4 older batches; `huleedu status --all` tells of all" in shown
    found, _, told = huleedu("status", "--json").partition("\n]\n")
    values = json.loads(found + "]")
    assert [it["batch_id"] for it in values] == ["class-7", "class-6", "class-3"]
    assert [it["status"] for it in values] == ["ready", "ready", "receiving"]
    assert told.startswith("Left out: 4 ")


@pytest.mark.usefixtures("ledger")
def test_all_are_shown_when_they_are_asked_for(huleedu: Huleedu) -> None:
    values = huleedu.json("status", "--all")
    assert [it["batch_id"] for it in values] == NAMES[::-1]
    alone = huleedu.json("status", "class-7")
    assert values[0] == {name: it for name, it in alone.items() if name != "essays"}
    shown = huleedu("status", "--all")
    assert all(name in shown for name in NAMES)
    assert "Left out" not in shown
    assert "say either" in huleedu("status", "class-1", "--all", code=2)


def test_an_installation_without_batches_has_an_empty_list(huleedu: Huleedu) -> None:
    assert huleedu.json("status") == huleedu.json("status", "--all") == []
    assert "Batches" in huleedu("status")
