"""`huleedu trace`: an essay's whole way, from what an installation really recorded."""

import json
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.cli.app import main
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.pipeline import lifecycle
from tests.support.workshop import Workshop

ID, OTHER = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
STAGES = ["raw_upload", "extracted_plaintext", "validation_result", "spellcheck_result"]


class Traced:
    """Runs `huleedu trace` in this process on the home of a workshop."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What is printed, errors with it."""
        command = ["huleedu", "trace", *arguments, "--home", str(self.home)]
        self._monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        found = self._capsys.readouterr()
        return found.out + found.err

    def steps(self, *arguments: str) -> list[dict[str, Any]]:
        """The steps of the JSON form."""
        told = json.loads(self(*arguments, "--json"))
        found: list[dict[str, Any]] = told["steps"]
        return found


@pytest.fixture
def trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Traced:
    """The command on the home of `shop`."""
    monkeypatch.setenv("HULEEDU_HOME", str(tmp_path))
    return Traced(tmp_path, monkeypatch, capsys)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """An installation with a class whose first essay came under `ID`."""
    found = Workshop(tmp_path)
    found.register(expected=3)
    found.hand_in("åsa.txt", correlation_id=ID)
    found.hand_in("bo.txt", data=b"", correlation_id=OTHER)
    return found


def whats(steps: list[dict[str, Any]]) -> list[str]:
    """What happened, in order."""
    return [it["what"] for it in steps]


def test_a_trace_is_the_whole_way_of_one_essay_with_times(shop: Workshop, trace: Traced) -> None:
    shop.clock.advance(5)
    shop.process_pending()
    shop.clock.advance(60)
    shop.close(reason=ClosedBy.REQUEST)
    lifecycle.waive(shop.ledger, "class-a", "e003", "Åsa is ill")
    shop.clock.advance(1)
    shop.release()

    steps = trace.steps(ID)

    found = whats(steps)
    assert [it for it in found if it != "event"] == [
        "registered",
        "received",
        *STAGES,
        "closed",
        *["stored"] * 3,
        "released",
    ]
    events = [it["detail"].split()[0] for it in steps if it["what"] == "event"]
    assert sorted(events) == sorted(
        [
            "huleedu.file.essay_upload.finished.v1",
            "huleedu.file.essay_content.provisioned.v1",
            "huleedu.spellcheck.essay.initiate.v1",
            "huleedu.spellcheck.essay.completed.v1",
            "huleedu.batch.readiness.timed_out.v1",
            "huleedu.batch.essays.ready.v1",
        ]
    )
    received = steps[found.index("received")]
    assert received["essay_id"] == "e001"
    assert received["detail"] == "slot e001, version 1, 48 bytes"
    stages = [it for it in steps if it["what"] in STAGES]
    assert {it["detail"] for it in stages} == {"accepted"}
    assert {it["essay_id"] for it in stages} == {"e001"}
    moments = [datetime.fromisoformat(it["at"]) for it in steps]
    assert moments == sorted(moments)
    last = datetime.fromisoformat(stages[-1]["at"])
    ended = last + timedelta(milliseconds=stages[-1]["duration_ms"])
    assert ended - datetime.fromisoformat(received["at"]) == timedelta(seconds=6)


def test_nobodys_name_is_printed(shop: Workshop, trace: Traced) -> None:
    shop.process_pending()
    shop.close()
    lifecycle.waive(shop.ledger, "class-a", "e003", "Åsa is ill")
    for printed in (trace(ID), trace(ID, "--json"), trace(OTHER)):
        assert "sa.txt" not in printed
        assert "bo.txt" not in printed
        assert "ill" not in printed


def test_a_rejected_essay_has_its_code_in_the_trace(shop: Workshop, trace: Traced) -> None:
    shop.process_pending()
    steps = trace.steps(OTHER)
    details = {it["what"]: it["detail"] for it in steps if it["what"] in STAGES}
    assert details["raw_upload"] == "accepted"
    assert details["extracted_plaintext"] == "rejected, EMPTY_CONTENT"
    assert details["spellcheck_result"].startswith("not reached")


def test_a_failure_has_its_run_and_its_dead_letter(shop: Workshop, trace: Traced) -> None:
    shop.fail_until_dead(attempts=3)
    (letter,) = lifecycle.dead_letters(shop.ledger)
    shop.clock.advance(10)
    lifecycle.replay(shop.ledger, letter.dead_letter_id)
    shop.process()

    steps = trace.steps(ID)

    failed = [it for it in steps if it["what"] == "run failed"]
    assert [it["run_id"] for it in failed] == [f"run-e001-{number}" for number in range(3)]
    assert {it["detail"] for it in failed} == {"OSError"}
    letters = [it["detail"] for it in steps if it["what"].startswith("dead letter")]
    assert letters == ["OSError after 3 attempts", "replayed"]
    assert whats(steps)[-1] == "event"


def test_an_upload_without_a_slot_says_so(shop: Workshop, trace: Traced) -> None:
    late = str(uuid.UUID(int=9))
    shop.close()
    shop.hand_in("c.txt", correlation_id=late)
    (received,) = [it for it in trace.steps(late) if it["what"] == "received"]
    assert received["essay_id"] is None
    assert received["detail"].startswith("no slot (late)")


def test_one_essay_of_a_request_with_several_can_be_chosen(shop: Workshop, trace: Traced) -> None:
    both = str(uuid.UUID(int=9))
    shop.register("class-b", expected=2)
    shop.hand_in("a.txt", "b.txt", batch_id="class-b", correlation_id=both)
    assert {it["essay_id"] for it in trace.steps(both)} == {None, "e001", "e002"}
    assert {it["essay_id"] for it in trace.steps(both, "--essay", "e002")} == {None, "e002"}


def test_a_table_for_people_has_every_step(shop: Workshop, trace: Traced) -> None:
    shop.process_pending()
    printed = trace(ID)
    assert ID in printed
    for word in ("registered", "received", *STAGES, "e001", "2026-11-22 09:00:01.000"):
        assert word in printed


def test_the_id_of_a_registration_traces_the_batch(shop: Workshop, trace: Traced) -> None:
    with shop.ledger.read() as tx:
        correlation_id = tx.batches.get("class-a").registration.correlation_id
    assert whats(trace.steps(correlation_id.upper())) == ["registered"]


@pytest.mark.parametrize(
    "arguments", [[str(uuid.UUID(int=1))], ["' OR 1=1"], [ID, "--essay", "e009"]]
)
def test_of_an_unknown_id_one_sentence_is_said(
    shop: Workshop, trace: Traced, arguments: list[str]
) -> None:
    printed = trace(*arguments, code=2)
    assert printed.count("\n") == 1
    assert printed.startswith("huleedu: nothing is known of")
    assert "`huleedu events`" in printed
