"""The words in which the page of a batch says where it stands."""

import pytest

from tests.intake.forms import GOOD, hand_in, register
from tests.intake.served import Served
from tests.intake.test_pages import shown

READY = "Every essay has its result, and the batch has been handed on."


@pytest.mark.parametrize(
    ("rejected", "said"),
    [
        (0, READY),
        (1, f"{READY} 1 essay was rejected: see below what to do."),
        (2, f"{READY} 2 essays were rejected: see below what to do."),
    ],
)
def test_a_batch_that_is_ready_tells_how_many_essays_were_rejected(
    served: Served, rejected: int, said: str
) -> None:
    client = served.operator()
    register(client, expected=3)
    empty = {f"empty-{it}.txt": b" " * it for it in range(rejected)}
    good = {f"good-{it}.txt": GOOD + b" %d" % it for it in range(3 - rejected)}
    hand_in(client, {**empty, **good})
    served.shop.process_pending()
    served.shop.release("class-a")
    assert f"Ready {said}" in " ".join(shown(client, "/batches/class-a").text.split())


def test_a_batch_in_which_nothing_is_and_nothing_is_expected_misses_nothing(
    served: Served,
) -> None:
    client = served.operator()
    register(client)
    page = shown(client, "/batches/class-a/live")
    (said,) = [it["data-say"] for it in page.all("div") if "data-say" in it]
    assert said == "Taking essays: 0 of 0 essays have their result."
    assert not page.all("rect")
    (bar,) = page.all("svg")
    assert bar["viewbox"] == "0 0 1 1"
