"""What readers of a batch are told, beside what reports tell."""

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.pipeline.reprocessing import reprocess
from huleedu_dagster.pipeline.results import reported_view, told_in_report
from tests.support.fakes import START
from tests.support.workshop import Workshop


def test_a_batch_tells_since_when_it_waits_and_its_report_does_not(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    received = shop.essay().upload.received_at
    assert received > START
    assert shop.view().waiting_since == received
    shop.process()
    shop.release()
    assert shop.view().waiting_since is None
    assert "waiting_since" not in told_in_report(reported_view(shop.facts()))


def test_a_dead_letter_does_not_wait_and_waits_again_when_it_is_asked_for(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.fail_until_dead()
    assert shop.view().waiting_since is None
    reprocess(shop.ledger, "class-a", ["e001"])
    assert shop.view().waiting_since == shop.essay().upload.received_at


def test_work_that_is_asked_for_again_leaves_a_batch_as_it_is(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.process()
    shop.release()
    before = shop.view()
    reprocess(shop.ledger, "class-a")
    assert shop.facts().reprocessing
    assert shop.view() == before
    assert before.status is BatchStatus.READY
