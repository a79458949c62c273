"""Two clients hand in to one batch of seven at once, in many orders, on every database."""

import hashlib
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx
import pytest

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.events import EssayUploadFinishedV1, ExcessContentProvisionedV1
from huleedu_dagster.domain.ids import raw_blob_key, slot_id
from huleedu_dagster.ledger.idempotency import KeyState
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import Batch, Essay, Upload, UploadStatus
from tests.intake import forms, rivals
from tests.intake.rivals import EXPECTED, Plan, plan
from tests.intake.served import LIMITS, Served, serving
from tests.support.at_once import at_once
from tests.support.ledger import DATABASES, all_rows, database

SEEDS = range(50)
EVERYDAY = 10
EXCESS = ExcessContentProvisionedV1.event_type
FINISHED = EssayUploadFinishedV1.event_type


@dataclass(frozen=True)
class School:
    """An intake that all seeds of one database share, each with a batch of its own."""

    served: Served
    token: str


@pytest.fixture(scope="module", params=DATABASES)
def school(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[School]:
    folder = tmp_path_factory.mktemp(request.param)
    limits = replace(LIMITS, max_pending=10_000)
    with (
        database(request.param, folder) as url,
        serving(folder, limits, ledger=Ledger(url)) as served,
    ):
        yield School(served, served.token("teacher"))


@dataclass(frozen=True)
class Facts:
    """All that is known about a batch afterwards, in one view."""

    batch: Batch
    essays: list[Essay]
    uploads: list[Upload]
    events: dict[str, list[dict[str, Any]]]
    blobs: dict[str, str]

    @classmethod
    def of(cls, served: Served, batch_id: str) -> "Facts":
        events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with served.shop.ledger.read() as tx:
            for _, envelope in tx.outbox.envelopes(batch_id):
                events[envelope["event_type"]].append(envelope)
            batch = tx.batches.get(batch_id)
            essays = tx.essays.of_batch(batch_id)
            uploads = tx.essays.uploads_of(batch_id)
        folder = served.shop.folder / "blobs" / "raw_upload_blob" / batch_id
        blobs = {it.name: hashlib.sha256(it.read_bytes()).hexdigest() for it in folder.iterdir()}
        return cls(batch, essays, uploads, events, blobs)


def wait_until_idle(served: Served) -> None:
    """What broke off may still be worked on."""
    until = time.monotonic() + 60
    while served.counted.under_way:
        assert time.monotonic() < until, "a request does not end"
        time.sleep(0.001)


def check_slots(facts: Facts) -> None:
    """Seven slots, one for each of the first seven paths, in order of receipt; the rest excess."""
    assert [it.slot for it in facts.essays] == [slot_id(n) for n in range(1, EXPECTED + 1)]
    assert len({it.upload.upload_id for it in facts.essays}) == EXPECTED
    assert facts.batch.closed_by is ClosedBy.FULL
    moments = [it.received_at for it in facts.uploads]
    assert all(earlier < later for earlier, later in itertools.pairwise(moments))
    paths = list(dict.fromkeys(it.path for it in facts.uploads))
    assert [it.upload.path for it in facts.essays] == paths[:EXPECTED]
    slots = {it.upload.path: it.slot for it in facts.essays}
    for path in paths:
        versions = [it for it in facts.uploads if it.path == path]
        assert [it.version for it in versions] == list(range(1, len(versions) + 1))
        slot = slots.get(path)
        status = UploadStatus.EXCESS if slot is None else UploadStatus.ASSIGNED
        assert {(it.slot, it.status) for it in versions} == {(slot, status)}
    current = {it.path: it for it in facts.uploads}
    assert [it.upload for it in facts.essays] == [current[it.upload.path] for it in facts.essays]
    assert all(it.pending and it.attempts == 0 for it in facts.essays)


def check_receipts(facts: Facts, planned: Plan) -> None:
    """Every file was promised, and every promise names bytes that are kept."""
    kept = {it.upload_id: it for it in facts.uploads}
    news: list[str] = []
    for request in planned.every_request:
        if request.cut:
            continue
        assert request.answer is not None
        for file, receipt in zip(request.files, request.answer["files"], strict=True):
            upload = kept[receipt["upload_id"]]
            digest = hashlib.sha256(file.data).hexdigest()
            assert receipt["file_name"] == upload.path == file.path
            assert receipt["sha256"] == upload.sha256 == digest
            assert receipt["bytes"] == upload.size == len(file.data)
            assert receipt["essay_id"] == upload.slot
            assert facts.blobs[upload.upload_id] == digest
            excess = upload.status is UploadStatus.EXCESS
            expected = {"excess"} if excess else {"new_essay", "new_version"}
            assert receipt["status"] in {*expected, "unchanged"}
            if receipt["status"] != "unchanged":
                assert upload.correlation_id == request.correlation_id
                news.append(upload.upload_id)
    assert len(news) == len(set(news))


def check_bytes(facts: Facts, planned: Plan) -> None:
    """No row without bytes, no bytes without a row but for files that were sent twice."""
    for upload in facts.uploads:
        assert upload.blob_key == raw_blob_key(upload.batch_id, upload.upload_id)
        assert facts.blobs[upload.upload_id] == upload.sha256
    # Bytes are durable before their row; of the same file on two ways in, one finds the other's
    # row, and its own bytes stay without one.
    sent = Counter((file.path, file.data) for it in planned.every_request for file in it.files)
    twice = {hashlib.sha256(data).hexdigest() for (_, data), times in sent.items() if times > 1}
    twice |= {
        hashlib.sha256(file.data).hexdigest()
        for it in planned.every_request
        if it.deaf
        for file in it.files
    }
    rows = {it.upload_id for it in facts.uploads}
    assert {digest for name, digest in facts.blobs.items() if name not in rows} <= twice


def check_events(facts: Facts, planned: Plan) -> None:
    """One event for each excess file, one for each request that brought something."""
    assert set(facts.events) <= {EXCESS, FINISHED}
    excess = [it.upload_id for it in facts.uploads if it.status is UploadStatus.EXCESS]
    told = [it["data"]["upload_id"] for it in facts.events[EXCESS]]
    assert sorted(told) == sorted(excess)
    brought: dict[str, list[Upload]] = defaultdict(list)
    for upload in facts.uploads:
        brought[upload.correlation_id].append(upload)
    finished: dict[str, dict[str, Any]] = {}
    for event in facts.events[FINISHED]:
        assert event["correlation_id"] not in finished
        finished[event["correlation_id"]] = event["data"]
    requests = {it.correlation_id: it for it in planned.every_request}
    assert set(brought) <= set(finished) <= set(requests)
    for correlation_id, uploads in brought.items():
        data = finished[correlation_id]
        last = max(it.received_at for it in uploads)
        assert data["upload_ts"] == last.isoformat().replace("+00:00", "Z")
        request = requests[correlation_id]
        sent = len(request.files)
        assert len(uploads) <= data["expected_count"] <= sent
        assert request.cut or data["expected_count"] == sent


def check_nothing_is_left_over(school: School) -> None:
    """No key under way, no attempt, no dead letter, nothing set aside."""
    rows = all_rows(school.served.shop.ledger)
    assert {it["state"] for it in rows["idempotency_keys"]} <= {KeyState.DONE}
    assert rows["attempts"] == rows["dead_letters"] == rows["stage_outcomes"] == []
    spool = school.served.shop.folder / "spool"
    assert list(spool.iterdir() if spool.exists() else ()) == []


@pytest.mark.parametrize(
    "seed",
    [pytest.param(it, marks=() if it < EVERYDAY else pytest.mark.slow) for it in SEEDS],
)
def test_two_clients_at_once_fill_seven_slots_and_the_rest_is_excess(
    school: School, seed: int
) -> None:
    planned = plan(seed)
    batch_id = f"class-{seed}"
    forms.register(school.served.client(school.token), EXPECTED, batch_id)

    rivals.act(planned, school.served.url, school.token, batch_id)

    wait_until_idle(school.served)
    facts = Facts.of(school.served, batch_id)
    check_slots(facts)
    check_receipts(facts, planned)
    check_bytes(facts, planned)
    check_events(facts, planned)
    check_nothing_is_left_over(school)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_request_under_one_key_sent_twice_at_once_is_done_once(
    school: School, seed: int
) -> None:
    planned = rivals.same_request_twice(seed)
    batch_id = f"twice-{seed}"
    forms.register(school.served.client(school.token), EXPECTED, batch_id)

    rivals.act(planned, school.served.url, school.token, batch_id)

    wait_until_idle(school.served)
    first, second = planned.every_request
    assert first.answer == second.answer is not None
    facts = Facts.of(school.served, batch_id)
    assert [it.path for it in facts.uploads] == [it.path for it in first.files]
    assert len({it.correlation_id for it in facts.uploads}) == 1
    assert facts.blobs == {it.upload_id: it.sha256 for it in facts.uploads}
    assert {name: len(found) for name, found in facts.events.items()} == {FINISHED: 1}
    check_nothing_is_left_over(school)


def test_of_registrations_under_one_key_at_once_one_registers_and_none_twice(
    school: School,
) -> None:
    client = school.served.client(school.token)

    def register(key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return client.post("/v1/batches/register", json={"course": key}, headers=headers)

    for turn in range(5):
        key = f"register-{turn}"
        answers = at_once(4, partial(register, key))
        assert {it.status_code for it in answers} <= {201, 409}
        assert len({it.content for it in answers if it.status_code == 201}) == 1
        with school.served.shop.ledger.read() as tx:
            courses = [it.registration.course for it in tx.batches.all()]
        assert courses.count(key) == 1
        assert register(key).headers["idempotency-replayed"] == "true"


def test_of_different_requests_under_one_key_at_once_one_is_done(school: School) -> None:
    client = school.served.client(school.token)
    numbers = itertools.count()

    def register() -> int:
        body = {"batch_id": f"other-{next(numbers)}"}
        headers = {"Idempotency-Key": "different"}
        return client.post("/v1/batches/register", json=body, headers=headers).status_code

    assert sorted(at_once(4, register)) == [201, 422, 422, 422]
    with school.served.shop.ledger.read() as tx:
        assert len([it for it in tx.batches.all() if it.batch_id.startswith("other-")]) == 1


def test_the_seeds_bring_every_kind_of_trouble() -> None:
    kinds = Counter(kind for seed in SEEDS for kind in plan(seed).kinds)
    assert set(kinds) == {
        "a request for each file",
        "at will",
        "by turns",
        "cut",
        "deaf",
        "one request",
        "same path",
        "same path and bytes",
    }
    assert min(kinds.values()) >= 8
