"""`huleedu trace`: an essay's whole way, from what an installation really recorded."""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.domain.actions import Actor
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.cli.in_process import Huleedu
from tests.support.workshop import Workshop

ID, OTHER = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
STAGES = ["raw_upload", "extracted_plaintext", "validation_result", "spellcheck_result"]


class Traced(Huleedu):
    """`huleedu trace` on the home of a workshop."""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What is printed, errors with it."""
        return super().__call__("trace", *arguments, code=code)

    def steps(self, *arguments: str) -> list[dict[str, Any]]:
        """The steps of the JSON form."""
        found: list[dict[str, Any]] = self.json(*arguments)["steps"]
        return found


@pytest.fixture
def trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Traced:
    """The command on the home of `shop`."""
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


def test_the_way_of_a_version_ends_where_a_newer_one_takes_its_place(
    shop: Workshop, trace: Traced
) -> None:
    newer = str(uuid.UUID(int=9))
    shop.process()
    shop.hand_in("åsa.txt", data=b"", correlation_id=newer)
    shop.fail_until_dead()

    steps = trace.steps(ID)
    assert not [it for it in steps if it["what"].startswith(("run failed", "dead letter"))]
    (replaced,) = [it for it in steps if it["what"] == "replaced"]
    assert (replaced["essay_id"], replaced["detail"]) == ("e001", "by version 2")
    assert len([it for it in trace.steps(newer) if it["what"] == "run failed"]) == 3


def test_reprocessing_is_on_the_way_with_what_came_of_it(shop: Workshop, trace: Traced) -> None:
    shop.process_pending()
    shop.clock.advance(3_600)
    lifecycle.change_settings(shop.ledger, "class-a", BatchSettings(min_words=500))
    reprocess(shop.ledger, "class-a")
    shop.clock.advance(10)
    shop.process()

    steps = trace.steps(ID)
    found = [it for it in whats(steps) if it not in ("event", "registered", "received")]
    assert found == [*STAGES, "settings changed", "reprocessing asked for", *STAGES[2:]]
    asked = steps[whats(steps).index("reprocessing asked for")]
    assert asked["detail"] == "by system, 2 essays"
    last = [it for it in steps if it["what"] == "validation_result"][-1]
    assert last["detail"] == "rejected, CONTENT_TOO_SHORT"


def test_a_batch_that_was_opened_again_was_closed_twice(shop: Workshop, trace: Traced) -> None:
    shop.close()
    shop.clock.advance(60)
    shop.intake.reopen("class-a")
    shop.clock.advance(60)
    shop.close()
    steps = trace.steps(ID)
    found = [it for it in steps if it["what"] in ("closed", "reopened")]
    assert whats(found) == ["closed", "reopened", "closed"]
    assert len({it["at"] for it in found}) == 3


def test_a_request_that_changed_nothing_is_known(shop: Workshop, trace: Traced) -> None:
    again = str(uuid.UUID(int=9))
    shop.hand_in("åsa.txt", correlation_id=again)
    steps = trace.steps(again)
    assert whats(steps) == ["registered", "received again"]
    assert steps[-1]["detail"] == "by system, 1 unchanged"


def test_what_somebody_did_to_a_batch_is_known_by_the_id_of_the_request(
    shop: Workshop, trace: Traced
) -> None:
    asked = str(uuid.UUID(int=9))
    teacher = Actor.token("0123456789abcdef")
    acting = shop.ledger.acting(teacher, asked)
    shop.close()
    shop.clock.advance(60)
    lifecycle.waive(acting, "class-a", "e003", "ill")
    steps = trace.steps(asked)
    assert [it for it in whats(steps) if it != "event"] == ["registered", "closed", "waived"]
    assert (steps[-1]["essay_id"], steps[-1]["detail"]) == ("e003", "by token")
    assert teacher.actor_id not in trace(asked)


@pytest.mark.parametrize("source", ["cli", "inbox"])
def test_files_without_a_request_are_traced_by_the_id_of_their_batch(
    shop: Workshop, trace: Traced, source: str
) -> None:
    shop.register("class-b", expected=2, source=source)
    for happen in (
        lambda: shop.receive("a.txt", batch_id="class-b"),
        lambda: shop.process(batch_id="class-b"),
        lambda: shop.close("class-b"),
        lambda: lifecycle.waive(shop.ledger, "class-b", "e002", "ill"),
        lambda: shop.release("class-b"),
    ):
        happen()
        shop.clock.advance(5)
    with shop.ledger.read() as tx:
        correlation_id = tx.batches.get("class-b").registration.correlation_id
    steps = trace.steps(correlation_id)
    assert [it for it in whats(steps) if it != "event"] == [
        "registered",
        "received",
        *STAGES,
        "closed",
        "waived",
        *["stored"] * 3,
        "released",
    ]


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
