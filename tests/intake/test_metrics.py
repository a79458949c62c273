"""`/metrics` on a real socket: who may read it, what it tells, and what it never tells."""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.intake.metrics import METRICS_PATH
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.probes import WATCHED_DAEMONS
from huleedu_dagster.pipeline import lifecycle
from tests.intake.forms import GOOD, hand_in, register
from tests.intake.served import EVERY_SCOPE, Served, serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(text: str) -> Samples:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client: httpx.Client) -> Samples:
    """What a scraper is told."""
    answer = client.get(METRICS_PATH)
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return samples[name, tuple(sorted(labels.items()))]


@pytest.fixture
def scraper(served: Served) -> httpx.Client:
    """A client that may read metrics and nothing else."""
    return served.client(served.token("prometheus", Scope.METRICS))


def beat(home: Path, **ages: float) -> None:
    """Write heartbeats into a database like Dagster's, so many seconds old."""
    folder = home / "dagster" / "storage" / "history"
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "runs.db")) as runs:
        runs.execute("PRAGMA synchronous = OFF")
        runs.execute("CREATE TABLE IF NOT EXISTS daemon_heartbeats (daemon_type, body)")
        runs.execute("DELETE FROM daemon_heartbeats")
        for kind, age in ages.items():
            body = json.dumps({"timestamp": time.time() - age})
            runs.execute("INSERT INTO daemon_heartbeats VALUES (?, ?)", (kind, body))
        runs.commit()


def test_only_a_token_for_metrics_may_read_them(served: Served, scraper: httpx.Client) -> None:
    assert scraper.get(METRICS_PATH).status_code == 200
    assert served.client().get(METRICS_PATH).status_code == 401
    for scope in set(EVERY_SCOPE) - {Scope.METRICS}:
        refused = served.client(served.token(f"only {scope}", scope)).get(METRICS_PATH)
        assert refused.status_code == 403
        assert "requests_total" not in refused.text


def test_a_token_for_metrics_may_do_nothing_else(served: Served, scraper: httpx.Client) -> None:
    register(served.teacher())
    for path in ("/v1/batches", "/v1/batches/class-a", "/v1/dead-letters"):
        assert scraper.get(path).status_code == 403
    assert scraper.post("/v1/batches/register", json={"batch_id": "b"}).status_code == 403


def test_what_the_ledger_knows_is_told_whichever_process_did_it(
    served: Served, scraper: httpx.Client
) -> None:
    with served.teacher() as teacher:
        register(teacher, 3)
        hand_in(teacher, {"a.txt": GOOD, "b.txt": b"", "c.txt": GOOD + b" C"})
    served.shop.clock.advance(120)
    found = scrape(scraper)
    assert value(found, "huleedu_oldest_unprocessed_seconds") >= 120
    assert value(found, "huleedu_essays", state="pending") == 3
    served.shop.process_pending()
    served.shop.release()
    found = scrape(scraper)
    assert value(found, "huleedu_essays", state="accepted") == 2
    assert value(found, "huleedu_essays", state="rejected") == 1
    assert value(found, "essay_validation_failed_total", error_code="EMPTY_CONTENT") == 1
    assert value(found, "essay_validation_failed_total", error_code="TIMEOUT") == 0
    assert value(found, "huleedu_stored_bytes_total") == 2 * len(GOOD) + 2
    assert value(found, "huleedu_uploads_total", status="assigned") == 3
    assert value(found, "batch_completion_seconds_count", status="ready") == 1
    assert value(found, "batch_completion_seconds_bucket", status="ready", le="60.0") == 0
    assert value(found, "batch_completion_seconds_bucket", status="ready", le="+Inf") == 1
    assert value(found, "huleedu_queue_latency_seconds_count", stage="raw_upload") == 3
    assert value(found, "huleedu_queue_latency_seconds_sum", stage="raw_upload") > 355
    assert value(found, "huleedu_stage_duration_seconds_count", stage="spellcheck_result") == 2
    assert value(found, "huleedu_oldest_unprocessed_seconds") == 0
    assert value(found, "dlq_messages_total") == 0


def test_dead_letters_are_told_as_long_as_they_are_open_and_their_number_for_good(
    served: Served, scraper: httpx.Client
) -> None:
    shop, names = served.shop, ("dlq_messages_total", "huleedu_dead_letters_open")
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.fail_until_dead()
    found = scrape(scraper)
    assert [value(found, it) for it in names] == [1, 1]
    (letter,) = lifecycle.dead_letters(shop.ledger)
    lifecycle.replay(shop.ledger, letter.dead_letter_id)
    found = scrape(scraper)
    assert [value(found, it) for it in names] == [1, 0]


def test_events_that_no_relay_delivered_are_told_until_they_are_sent_again(
    served: Served, scraper: httpx.Client
) -> None:
    def told() -> float:
        return value(scrape(scraper), "huleedu_relay_dead_letters_open")

    with served.shop.ledger.write() as tx:
        for seq in (1, 2):
            tx.relays.add_dead_letter("webhook", seq, event_id="e", reason="r", attempts=8)
    assert told() == 2
    with served.shop.ledger.write() as tx:
        (first, _) = tx.relays.open_letters()
        tx.relays.resolve(first.letter_id)
    assert told() == 1


def test_a_batch_past_its_time_is_told_as_open_and_then_as_closed(
    served: Served, scraper: httpx.Client
) -> None:
    def told() -> list[float]:
        found, name = scrape(scraper), "huleedu_incomplete_batches_past_deadline"
        return [value(found, name, state=it) for it in ("open", "closed")]

    served.shop.register(expected=2, timeout=30)
    served.shop.receive("a.txt")
    assert told() == [0, 0]
    served.shop.clock.advance(60)
    assert told() == [1, 0]
    lifecycle.close_what_is_due(served.shop.ledger, quiet_seconds=30)
    assert told() == [0, 1]


def test_sums_survive_a_restart_of_the_intake(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        register(served.teacher(), 2)
        served.shop.receive("a.txt", GOOD)
    with serving(tmp_path, ledger=Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as served:
        served.shop.receive("b.txt", GOOD + b" B")
        found = scrape(served.client(served.token("prometheus", Scope.METRICS)))
    assert value(found, "huleedu_uploads_total", status="assigned") == 2
    assert value(found, "huleedu_stored_bytes_total") == 2 * len(GOOD) + 2


def test_buckets_add_up_and_never_fall(served: Served, scraper: httpx.Client) -> None:
    register(served.teacher(), 2)
    served.shop.receive("a.txt")
    served.shop.clock.advance(45)
    served.shop.process()
    found = scrape(scraper)
    stage = "validation_result"
    name = "huleedu_queue_latency_seconds"
    buckets = [
        (float(dict(labels)["le"]), count)
        for (sample, labels), count in found.items()
        if sample == f"{name}_bucket" and dict(labels)["stage"] == stage
    ]
    counts = [count for _, count in sorted(buckets)]
    assert counts == sorted(counts)
    assert dict(buckets)[30.0] == 0
    assert dict(buckets)[60.0] == 1 == value(found, f"{name}_count", stage=stage)


def test_every_error_code_is_there_before_it_happens(scraper: httpx.Client) -> None:
    found = scrape(scraper)
    for code in Code:
        assert value(found, "essay_validation_failed_total", error_code=code) == 0
    for kind in ("file", "request"):
        assert value(found, "huleedu_duplicates_suppressed_total", kind=kind) == 0


def test_requests_are_counted_under_their_route_and_never_their_address(
    served: Served, scraper: httpx.Client
) -> None:
    teacher = served.teacher()
    register(teacher, name="secret-class")
    for _ in range(3):
        teacher.get("/v1/batches/secret-class")
    teacher.get("/v1/batches/no-such-class")
    teacher.get("/secret-address")
    teacher.request("BREW", "/v1/batches")
    served.client().get("/v1/batches")
    answer = scraper.get(METRICS_PATH)
    found = samples_of(answer.text)
    route = "/v1/batches/{batch_id}"
    assert value(found, "requests_total", method="GET", route=route, status="200") == 3
    assert value(found, "requests_total", method="GET", route=route, status="404") == 1
    assert value(found, "request_latency_seconds_count", method="GET", route=route) == 4
    assert value(found, "requests_total", method="GET", route="none", status="404") == 1
    assert value(found, "requests_total", method="GET", route="none", status="401") == 1
    assert "secret" not in answer.text
    assert "BREW" not in answer.text


def test_what_comes_again_is_counted(served: Served, scraper: httpx.Client) -> None:
    teacher, key = served.teacher(), {"Idempotency-Key": str(uuid.uuid4())}
    register(teacher)
    hand_in(teacher, {"a.txt": GOOD, "b.txt": GOOD})
    hand_in(teacher, {"a.txt": GOOD, "c.txt": GOOD})
    for _ in range(2):
        hand_in(teacher, {"d.txt": GOOD}, key)
    found = scrape(scraper)
    assert value(found, "huleedu_duplicates_suppressed_total", kind="file") == 1
    assert value(found, "huleedu_duplicates_suppressed_total", kind="request") == 1


def test_the_oldest_heartbeat_of_the_daemon_is_told(served: Served, scraper: httpx.Client) -> None:
    home = served.shop.folder
    found = scrape(scraper)
    assert value(found, "huleedu_dagster_database_up") == 0
    assert not any(name.startswith("huleedu_daemon") for name, _ in found)
    for ages, expected in (
        (dict.fromkeys(WATCHED_DAEMONS, 20.0), 20.0),
        ({**dict.fromkeys(WATCHED_DAEMONS, 20.0), "SENSOR": 300.0}, 300.0),
        ({}, float("inf")),
    ):
        beat(home, **ages)
        found = scrape(scraper)
        assert value(found, "huleedu_dagster_database_up") == 1
        age = value(found, "huleedu_daemon_heartbeat_age_seconds")
        assert age == expected or expected <= age < expected + 60


def test_the_disk_of_the_home_is_told(scraper: httpx.Client) -> None:
    found = scrape(scraper)
    assert 0 < value(found, "huleedu_disk_free_bytes") <= value(found, "huleedu_disk_size_bytes")


# What Prometheus 3 asks for.
OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def test_prometheus_is_told_the_same_in_the_form_that_it_prefers(
    served: Served, scraper: httpx.Client
) -> None:
    register(served.teacher(), 2)
    served.shop.receive("a.txt")
    served.shop.process()
    beat(served.shop.folder)
    answer = scraper.get(METRICS_PATH, headers={"Accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in openmetrics_families(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    plain = scraper.get(METRICS_PATH, headers={"Accept": "*/*"})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    alike = {it for it in samples_of(plain.text) if it[0].startswith(("huleedu", "batch", "essay"))}
    assert len(alike) > 100
    assert alike <= found.keys()
    sums = [it for it in alike if "huleedu_d" not in it[0]]
    assert [found[it] for it in sums] == [samples_of(plain.text)[it] for it in sums]


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=abc", "text/plain;version=x", ";;,version="],
)
def test_who_asks_for_what_nobody_understands_is_told_in_plain_text(
    scraper: httpx.Client, accept: str
) -> None:
    answer = scraper.get(METRICS_PATH, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_two_intakes_tell_the_same_of_the_installation_and_each_its_own_requests(
    served: Served, scraper: httpx.Client, tmp_path: Path
) -> None:
    beat(served.shop.folder)
    teacher = served.teacher()
    register(teacher, 2)
    hand_in(teacher, {"a.txt": GOOD})
    ledger = Ledger(served.shop.ledger.url, clock=served.shop.clock)
    with serving(tmp_path / "other", ledger=ledger) as other:
        beat(other.shop.folder)
        found = scrape(other.client(other.token("other", Scope.METRICS)))
        here = scrape(scraper)
    own = ("requests", "request_", "process_", "huleedu_disk")
    of_ledger = {it: value for it, value in here.items() if not it[0].startswith(own)}
    assert {it: found[it] for it in of_ledger} == of_ledger
    assert value(found, "huleedu_uploads_total", status="assigned") == 1
    route = "/v1/files/batch"
    assert value(here, "request_latency_seconds_count", method="POST", route=route) == 1
    assert not any(route in dict(labels).values() for _, labels in found)


def test_what_a_newer_version_keeps_sums_of_is_left_out(
    served: Served, scraper: httpx.Client
) -> None:
    before = scrape(scraper)
    with served.shop.ledger.write() as tx:
        tx.connection.execute(
            sa.text("INSERT INTO metric_sums VALUES ('of_tomorrow', 'label', 0, 1, 1.0)")
        )
    assert {it for it in scrape(scraper) if it[0].startswith("huleedu")} == {
        it for it in before if it[0].startswith("huleedu")
    }


@pytest.fixture
def without_ledger(served: Served, scraper: httpx.Client) -> Iterator[httpx.Client]:
    """A scraper whose ledger is no database any more."""
    scrape(scraper)
    served.shop.ledger.close()
    path = served.shop.folder / "ledger.db"
    kept = path.read_bytes()
    path.write_bytes(b"x" * 4_096)
    yield scraper
    path.write_bytes(kept)


def test_a_ledger_that_cannot_be_read_is_an_error_and_no_empty_list(
    without_ledger: httpx.Client,
) -> None:
    answer = without_ledger.get(METRICS_PATH)
    assert answer.status_code in (500, 503)
    assert "huleedu_essays" not in answer.text
