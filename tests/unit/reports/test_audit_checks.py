"""What the checks of an audit report look at: totals, parts, and reports of older versions."""

from typing import Any

import pytest

from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.reports.audit_checks import (
    parts_that_do_not_add_up,
    recounted_agree,
    totals_agree,
)
from huleedu_dagster.reports.audit_content import AuditContent
from tests.support.fakes import START
from tests.support.workshop import Workshop

DAY = START.date()


def report_of_a_batch(shop: Workshop) -> dict[str, Any]:
    """A day on which a batch with a good and a bad essay was released."""
    shop.register(expected=2)
    shop.receive("good.txt")
    shop.receive("bad.txt", b"")
    shop.process_pending()
    shop.release()
    with shop.ledger.read() as tx:
        return AuditContent.read(tx, Days.one(DAY)).as_json()


def test_totals_that_differ_are_named_and_a_missing_one_is_nought() -> None:
    assert totals_agree({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 0}) == []
    assert totals_agree({"a": 1, "c": 2}, {"a": 2, "b": 1, "c": 2}) == ["a", "b"]


def test_what_was_not_counted_again_need_not_agree_but_every_code_must() -> None:
    reported = {"accepted": 1, "late": 5, "rejected_TIMEOUT": 1}
    assert recounted_agree(reported, {"accepted": 1, "rejected_TIMEOUT": 1}) == []
    assert recounted_agree(reported, {"accepted": 2}) == ["accepted", "rejected_TIMEOUT"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda it: it["totals"].update(received=9), ["received of batches", "received of hours"]),
        (lambda it: it["batches"].pop(), ["registered of batches"]),
        (lambda it: it["totals"].update(rejected_TIMEOUT=1), ["rejected by code"]),
        (lambda it: it["rejected_by_code"].clear(), ["rejected_by_code"]),
        (lambda it: it["totals"].update(released=2), ["released"]),
        (lambda it: it["hours"].clear(), ["accepted of hours"]),
        (lambda it: it["seconds"]["file_to_outcome"].update(count=0), ["outcomes"]),
        (lambda it: it.pop("hours"), ["all: it was made by an older version"]),
        (lambda it: it["totals"].pop("late"), ["all: it was made by an older version"]),
        (lambda it: it["batches"][0].pop("late"), ["all: it was made by an older version"]),
    ],
)
def test_a_report_that_does_not_add_up_is_found_out(
    shop: Workshop, change: Any, wrong: list[str]
) -> None:
    told = report_of_a_batch(shop)
    assert parts_that_do_not_add_up(told, Days.one(DAY)) == []
    change(told)
    assert set(wrong) <= set(parts_that_do_not_add_up(told, Days.one(DAY)))
