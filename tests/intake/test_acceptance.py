"""The acceptance matrix of the requirements over HTTP, with the seeds' drop handler flow.

Files come in through a socket, the world's sensors, runs and checks process them, and what became
of them is asked back through the socket and read from the outbox.
"""

import json
import uuid
from collections.abc import Iterator

import pytest

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import (
    EVENT_MODELS,
    EventData,
    deterministic_event_id,
    event_uuid,
    schema_uri,
)
from tests.dagster.test_acceptance import BATCH_ASSETS, ESSAY_ASSETS, check_of, essays
from tests.dagster.test_backfills import backfill
from tests.dagster.test_staleness import staleness
from tests.intake.flow import Dropped, Flow, ask, flowing, kind
from tests.support.ledger import deeds
from tests.support.world import GOOD, World

# Every day tests/dagster has the same rows, without HTTP.
pytestmark = pytest.mark.slow

UPLOAD = "essay_upload.finished"
PROVISIONED = "essay_content.provisioned"
FAILED = "essay_validation.failed"
EXCESS = "excess_content.provisioned"
INITIATE = "essay.initiate"
COMPLETED = "essay.completed"
READY = "essays.ready"
TIMED_OUT = "readiness.timed_out"


@pytest.fixture
def flow(world: World) -> Iterator[Flow]:
    """A world behind its intake."""
    with flowing(world) as found:
        yield found


def whole(count: int) -> dict[str, int]:
    """The events of so many good essays that were dropped at once and released."""
    return {UPLOAD: 1, PROVISIONED: count, INITIATE: count, COMPLETED: count, READY: 1}


def ready_class(flow: Flow, count: int) -> Dropped:
    """A class of so many good essays, dropped and ready."""
    dropped = flow.drop(essays(count))
    flow.world.settle()
    assert flow.batch(dropped.batch_id)["status"] == "ready"
    assert flow.told(dropped) == whole(count)
    return dropped


def counts(found: dict[str, object], *names: str) -> tuple[object, ...]:
    """Some values of a batch."""
    return tuple(found[it] for it in names)


def data_hash(data: EventData) -> str:
    """The hash that an event's identity is made of."""
    return deterministic_event_id(data.model_dump(mode="json"))


def run_ids(world: World) -> list[str]:
    """Ids of all runs, the latest first."""
    return [it.run_id for it in world.runs()]


def materializations(world: World) -> dict[tuple[str, str], int]:
    """How often each cell of each essay asset, and each batch of each batch asset, was written."""
    return {
        (asset, cell): world.materialization_count(asset, cell)
        for asset in (*ESSAY_ASSETS, *BATCH_ASSETS)
        for cell in world.materialized(asset)
    }


def test_three_good_essays_and_an_empty_one_are_a_ready_batch(flow: Flow) -> None:
    files = {**essays(3), "student-4/essay.txt": b""}
    dropped = flow.drop(files)
    assert [it["essay_id"] for it in dropped.files] == ["e001", "e002", "e003", "e004"]
    assert flow.batch(dropped.batch_id)["status"] == "processing"
    flow.world.settle()

    found = flow.batch(dropped.batch_id)
    assert counts(found, "status", "ready", "rejected", "missing") == ("ready", 3, 1, 0)
    assert flow.told(dropped) == {**whole(3), FAILED: 1}
    empty = found["essays"][3]
    assert (empty["outcome"], empty["code"]) == ("rejected", "EMPTY_CONTENT")
    assert empty["message"]
    first = flow.essay(dropped.batch_id, "e001")
    assert [it["word"] for it in first["misspelled_words"]] == ["teh"]
    place = "essays/e001"
    assert flow.download(dropped.batch_id, f"{place}/raw") == files["student-1/essay.txt"]
    assert flow.download(dropped.batch_id, f"{place}/text").decode() == first["text"]
    assert flow.download(dropped.batch_id, f"{place}/corrected").decode() == first["corrected_text"]
    report = json.loads(flow.download(dropped.batch_id, "report.json"))
    assert counts(report, "status", "ready", "rejected") == ("ready", 3, 1)
    assert b"student-4/essay.txt" in flow.download(dropped.batch_id, "report.html")
    assert check_of(flow.world, "batch_manifest", "batch_is_complete", dropped.batch_id) == [
        "SUCCEEDED"
    ]


def test_every_event_of_the_flow_is_of_its_published_kind_and_names_the_raw_bytes(
    flow: Flow,
) -> None:
    dropped = flow.drop({**essays(2), "student-3/essay.txt": b""}, expected=2)
    flow.world.settle()

    kinds = {it.event_type: it for it in EVENT_MODELS}
    raw = {f"raw_upload_blob/{dropped.batch_id}/{it['upload_id']}" for it in dropped.files}
    named = set()
    for event in flow.world.events():
        model = kinds[event["event_type"]]
        data = model.model_validate(event["data"])
        assert event["data_schema_uri"] == schema_uri(model)
        assert event["event_id"] == str(event_uuid(model.event_type, data_hash(data)))
        assert event["correlation_id"] == dropped.correlation_id
        named.add(event["data"].get("raw_file_storage_id"))
    assert named - {None} == raw
    (excess,) = [it for it in dropped.files if it["essay_id"] is None]
    assert excess["status"] == "excess"


def test_every_event_of_an_essay_carries_the_id_of_the_request_that_brought_it(
    flow: Flow,
) -> None:
    first = flow.drop(essays(1), expected=2)
    later = str(uuid.uuid4())
    answer = flow.upload(first.batch_id, later, {"later.txt": GOOD.encode(), "more.txt": b"x"})
    assert [it["status"] for it in answer.json()["files"]] == ["new_essay", "excess"]
    flow.world.settle()

    ids = {
        (kind(it), it["data"].get("essay_id")): it["correlation_id"] for it in flow.world.events()
    }
    assert ids[PROVISIONED, "e001"] == ids[COMPLETED, "e001"] == first.correlation_id
    assert ids[PROVISIONED, "e002"] == ids[COMPLETED, "e002"] == later
    assert (ids[EXCESS, None], ids[READY, None]) == (later, first.correlation_id)
    finished = flow.world.events("essay_upload.finished")
    assert [it["data"]["correlation_id"] for it in finished] == [first.correlation_id, later]


def test_of_nine_essays_for_seven_slots_two_are_excess_and_all_bytes_are_kept(flow: Flow) -> None:
    files = essays(9)
    dropped = flow.drop(files, expected=7)
    slots = [it["essay_id"] for it in dropped.files]
    assert slots == [f"e00{number}" for number in range(1, 8)] + [None, None]
    flow.world.settle()

    found = flow.batch(dropped.batch_id)
    assert counts(found, "status", "received", "ready", "excess") == ("ready", 7, 7, 2)
    assert flow.told(dropped) == {**whole(7), EXCESS: 2}
    last = found["essays"][-2:]
    assert [(it["code"], it["file_name"]) for it in last] == [
        ("BATCH_FULL", "student-8/essay.txt"),
        ("BATCH_FULL", "student-9/essay.txt"),
    ]
    for kept, data in zip(dropped.files, files.values(), strict=True):
        assert flow.download(dropped.batch_id, f"uploads/{kept['upload_id']}/raw") == data
        if kept["essay_id"] is not None:
            assert flow.download(dropped.batch_id, f"essays/{kept['essay_id']}/raw") == data


def test_five_of_seven_essays_time_out_and_waivers_release_the_five(flow: Flow) -> None:
    dropped = flow.drop(essays(5), expected=7, timeout_seconds=60)
    flow.world.settle()
    assert flow.batch(dropped.batch_id)["status"] == "receiving"
    assert TIMED_OUT not in flow.told(dropped)

    flow.world.clock.advance(61)
    flow.world.settle()

    found = flow.batch(dropped.batch_id)
    assert counts(found, "status", "ready", "missing") == ("incomplete", 5, 2)
    (timeout,) = flow.world.events("readiness.timed_out")
    assert timeout["data"]["missing_count"] == 2
    assert timeout["data"]["missing_essay_ids"] == ["e006", "e007"]
    assert timeout["correlation_id"] == dropped.correlation_id
    processed = {UPLOAD: 1, PROVISIONED: 5, INITIATE: 5, COMPLETED: 5, TIMED_OUT: 1}
    assert flow.told(dropped) == processed
    checked = check_of(flow.world, "batch_manifest", "batch_is_complete", dropped.batch_id)
    assert checked == ["FAILED"]
    assert flow.world.materialized("batch_release") == set()
    report = json.loads(flow.download(dropped.batch_id, "report.json"))
    assert counts(report, "status", "missing") == ("incomplete", 2)
    assert ask(flow.operator, "/v1/dead-letters?all=true").json() == []

    place = f"/v1/batches/{dropped.batch_id}/essays"
    late = flow.upload(dropped.batch_id, dropped.correlation_id, {"late.txt": GOOD.encode()})
    assert [it["status"] for it in late.json()["files"]] == ["late"]
    for slot in ("e006", "e007"):
        waived = flow.operator.post(f"{place}/{slot}/waive", json={"reason": "ill on the day"})
        assert waived.status_code == 200, waived.text
    refused = flow.operator.post(f"{place}/e001/waive", json={"reason": "why not"})
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_WAIVABLE")
    flow.world.settle()

    found = flow.batch(dropped.batch_id)
    assert counts(found, "status", "missing", "waived", "excess") == ("ready", 0, 2, 1)
    assert (found["essays"][-1]["code"], found["essays"][-1]["file_name"]) == (
        "ARRIVED_LATE",
        "late.txt",
    )
    upload_id = late.json()["files"][0]["upload_id"]
    assert flow.download(dropped.batch_id, f"uploads/{upload_id}/raw") == GOOD.encode()
    assert flow.told(dropped) == {**processed, UPLOAD: 2, EXCESS: 1, READY: 1}
    (ready,) = flow.world.events("batch.essays.ready")
    assert (len(ready["data"]["ready_essays"]), ready["data"]["waived_count"]) == (5, 2)


def test_the_same_upload_event_and_asset_again_change_everything_once(flow: Flow) -> None:
    world = flow.world
    dropped = ready_class(flow, 3)
    key = {"Idempotency_Key": "drop-1"}
    keyed = flow.upload(dropped.batch_id, dropped.correlation_id, essays(3), **key)
    before = world.rows(), world.blob_keys(), world.events(), run_ids(world)
    found = flow.batch(dropped.batch_id)

    plain = flow.upload(dropped.batch_id, dropped.correlation_id, essays(3))
    again = flow.upload(dropped.batch_id, dropped.correlation_id, essays(3), **key)
    other = flow.upload(dropped.batch_id, dropped.correlation_id, essays(2), **key)
    for event in world.events():
        model = next(it for it in EVENT_MODELS if it.event_type == event["event_type"])
        with world.ledger.write() as tx:
            tx.outbox.publish(
                model.model_validate(event["data"]),
                correlation_id=event["correlation_id"],
                batch_id=dropped.batch_id,
            )
    world.settle()
    cells = [f"{dropped.batch_id}|e00{number}" for number in (1, 2, 3)]
    # Handed in under a key, and once more without one; what is repeated under the key is neither.
    again_as_it_is = [it for it in deeds(world.ledger) if it[1] == Action.UNCHANGED]
    assert [amount for _, _, amount in again_as_it_is] == [3, 3]
    assert before == (world.rows(), world.blob_keys(), world.events(), run_ids(world))

    backfill(world, ESSAY_ASSETS, cells)
    world.settle()

    assert before[:3] == (world.rows(), world.blob_keys(), world.events())
    assert flow.batch(dropped.batch_id) == found
    ids = [it["upload_id"] for it in dropped.files]
    for answer in (keyed, plain, again):
        assert answer.status_code == 201
        assert [it["status"] for it in answer.json()["files"]] == ["unchanged"] * 3
        assert [it["upload_id"] for it in answer.json()["files"]] == ids
    assert (again.content, again.headers["Idempotency-Replayed"]) == (keyed.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_raw_upload_extracted_again_is_the_identical_text_and_data_version(flow: Flow) -> None:
    dropped = ready_class(flow, 1)
    before = flow.essay(dropped.batch_id, "e001")
    text = flow.download(dropped.batch_id, "essays/e001/text")

    flow.reprocess(dropped.batch_id, "e001")
    flow.world.settle()
    flow.world.execute(
        "process_essays",
        first=f"{dropped.batch_id}|e001",
        last=f"{dropped.batch_id}|e001",
        config={"ops": {"essays": {"config": {"force": True}}}},
    )

    assert flow.essay(dropped.batch_id, "e001") == before
    assert flow.download(dropped.batch_id, "essays/e001/text") == text
    assert flow.world.materialization_count("extracted_plaintext") == 3


def test_a_failing_store_gives_one_dead_letter_and_its_replay_makes_the_batch_ready(
    flow: Flow,
) -> None:
    dropped = flow.drop(essays(4))
    lost = dropped.files[1]["upload_id"]
    flow.world.blobs.fail("get", f"raw_upload_blob/{dropped.batch_id}/{lost}", times=3)
    flow.world.settle()

    found = flow.batch(dropped.batch_id)
    assert counts(found, "status", "ready", "dead_lettered") == ("incomplete", 3, 1)
    outcomes = [it["outcome"] for it in found["essays"]]
    assert outcomes == ["accepted", "dead_lettered", "accepted", "accepted"]
    (letter,) = ask(flow.operator, "/v1/dead-letters").json()
    assert counts(letter, "batch_id", "slot", "attempts") == (dropped.batch_id, "e002", 3)
    assert letter["correlation_id"] == dropped.correlation_id
    assert READY not in flow.told(dropped)

    address = f"/v1/dead-letters/{letter['dead_letter_id']}/replay"
    assert flow.operator.post(address).status_code == 200
    assert flow.operator.post(address).json()["code"] == "NOT_REPLAYABLE"
    flow.world.settle()

    assert counts(flow.batch(dropped.batch_id), "status", "ready") == ("ready", 4)
    assert ask(flow.operator, "/v1/dead-letters").json() == []
    (letter,) = ask(flow.operator, "/v1/dead-letters?all=true").json()
    assert letter["state"] == "replayed"
    assert flow.told(dropped) == whole(4)


def test_a_new_spelling_code_version_recomputes_spelling_alone_from_stored_text(
    flow: Flow,
) -> None:
    world = flow.world
    dropped = ready_class(flow, 2)
    before = [flow.essay(dropped.batch_id, slot) for slot in ("e001", "e002")]
    world.setting("SPELLING_REVISION", "2")
    world.reload()
    stale = staleness(world, f"{dropped.batch_id}|e001")
    assert [name for name, status in stale.items() if status != "FRESH"] == ["spellcheck_result"]
    runs = run_ids(world)
    world.settle()
    assert run_ids(world) == runs, "a new code version never starts work by itself"

    reads = world.blobs.reads["raw_upload_blob"]
    for slot in ("e001", "e002"):
        flow.reprocess(dropped.batch_id, slot)
    world.settle()

    assert world.blobs.reads["raw_upload_blob"] == reads
    for old, slot in zip(before, ("e001", "e002"), strict=True):
        new = flow.essay(dropped.batch_id, slot)
        *others, spelled = old["stages"]
        assert new["stages"][:-1] == others
        assert new["stages"][-1]["code_version"] != spelled["code_version"]
        assert new["corrections"] == old["corrections"]
    assert set(staleness(world, f"{dropped.batch_id}|e001").values()) == {"FRESH"}


def test_one_essay_with_everything_downstream_is_that_essay_and_its_batch(flow: Flow) -> None:
    one, other = ready_class(flow, 2), ready_class(flow, 2)
    found = [flow.batch(it.batch_id) for it in (one, other)]
    before = materializations(flow.world)
    cell = f"{one.batch_id}|e002"

    backfill(flow.world, [*ESSAY_ASSETS, *BATCH_ASSETS], [cell])
    flow.world.settle()

    after = materializations(flow.world)
    assert {it for it in after if after[it] != before[it]} == {
        *((asset, cell) for asset in ESSAY_ASSETS),
        *((asset, one.batch_id) for asset in BATCH_ASSETS),
    }
    assert [flow.batch(it.batch_id) for it in (one, other)] == found
    assert (flow.told(one), flow.told(other)) == (whole(2), whole(2))

    flow.reprocess(other.batch_id, "e001")
    flow.world.settle()

    last = materializations(flow.world)
    cell = f"{other.batch_id}|e001"
    assert {it for it in last if last[it] != after[it]} == {(it, cell) for it in ESSAY_ASSETS}
    assert [flow.batch(it.batch_id) for it in (one, other)] == found


def test_a_new_version_after_release_is_revision_two(flow: Flow) -> None:
    dropped = ready_class(flow, 2)
    better = f"{GOOD} A better ending.".encode()
    answer = flow.upload(dropped.batch_id, dropped.correlation_id, {"student-2/essay.txt": better})
    (receipt,) = answer.json()["files"]
    assert (receipt["status"], receipt["essay_id"]) == ("new_version", "e002")
    flow.world.settle()

    assert counts(flow.batch(dropped.batch_id), "status", "ready") == ("ready", 2)
    revisions = [it["data"]["revision"] for it in flow.world.events("batch.essays.ready")]
    assert revisions == [1, 2]
    second = flow.essay(dropped.batch_id, "e002")
    assert [it["version"] for it in second["versions"]] == [1, 2]
    assert second["text"].endswith("A better ending.")
    assert flow.download(dropped.batch_id, "essays/e002/raw") == better
    assert flow.told(dropped) == {
        UPLOAD: 2,
        PROVISIONED: 3,
        INITIATE: 3,
        COMPLETED: 3,
        READY: 2,
    }
