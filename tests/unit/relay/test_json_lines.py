"""The file relay: whole lines, in order, on the disk."""

import fcntl
import json
import os
import resource
import stat
from pathlib import Path

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.json_lines import JsonLinesRelay
from huleedu_dagster.relay.port import DeliveryError, Envelope
from tests.unit.relay.events import envelopes, record


@pytest.fixture
def three(ledger: Ledger) -> list[Envelope]:
    """Three events."""
    record(ledger, "one", "två", "three")
    return envelopes(ledger)


@pytest.fixture
def relay(tmp_path: Path) -> JsonLinesRelay:
    """A relay to a file that does not exist yet."""
    return JsonLinesRelay(tmp_path / "events.jsonl")


def lines(relay: JsonLinesRelay) -> list[Envelope]:
    text = relay.path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_each_event_is_one_line_in_order_and_later_ones_follow(
    relay: JsonLinesRelay, three: list[Envelope]
) -> None:
    relay.deliver(three[:2])
    relay.deliver(three[2:])
    assert lines(relay) == three
    assert stat.S_IMODE(relay.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", ['{"event_id": "half', "\0" * 200_000, '{"event_id": "whole?"}'])
def test_half_a_line_that_a_crash_left_is_cut_and_the_lines_before_it_stay(
    relay: JsonLinesRelay, three: list[Envelope], torn: str
) -> None:
    relay.deliver(three[:1])
    with relay.path.open("a") as file:
        file.write(torn)
    relay.deliver(three[1:])
    assert lines(relay) == three


def test_a_file_of_nothing_but_half_a_line_is_begun_anew(
    relay: JsonLinesRelay, three: list[Envelope]
) -> None:
    relay.path.write_text('{"event')
    relay.deliver(three)
    assert lines(relay) == three


def test_a_file_that_was_moved_away_is_begun_anew(
    relay: JsonLinesRelay, three: list[Envelope]
) -> None:
    relay.deliver(three[:2])
    relay.path.rename(relay.path.with_suffix(".1"))
    relay.deliver(three[2:])
    assert lines(relay) == three[2:]


def test_what_fits_on_a_full_disk_is_taken_back(
    relay: JsonLinesRelay, three: list[Envelope]
) -> None:
    relay.deliver(three[:1])
    before = relay.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Room for the second line and a part of the third.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(len(before) * 2.5), hard))
        with pytest.raises(DeliveryError, match="EFBIG") as caught:
            relay.deliver(three[1:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.retryable
    assert relay.path.read_bytes() == before


def test_a_file_that_somebody_else_holds_is_tried_again_later(
    relay: JsonLinesRelay, three: list[Envelope]
) -> None:
    with relay.path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(DeliveryError) as caught:
            relay.deliver(three)
    assert caught.value.retryable
    relay.deliver(three)
    assert lines(relay) == three


def test_what_is_no_file_is_not_written_to(tmp_path: Path, three: list[Envelope]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing" / "events.jsonl"):
        with pytest.raises(DeliveryError) as caught:
            JsonLinesRelay(path).deliver(three)
        assert str(tmp_path) not in str(caught.value)


def test_two_files_of_one_name_are_two_relays_with_short_names(tmp_path: Path) -> None:
    long = "x" * 200
    names = {JsonLinesRelay(tmp_path / folder / long).name for folder in "ab"}
    assert len(names) == 2
    assert max(map(len, names)) <= 80
