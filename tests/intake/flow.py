"""The seeds' drop handler over a real socket, into a world whose sensors process what it drops."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.intake.app import build_app
from huleedu_dagster.intake.services import Services
from tests.intake.forms import hand_in
from tests.intake.served import EVERY_SCOPE, LIMITS, running
from tests.support.world import World


@dataclass(frozen=True)
class Dropped:
    """A class that was dropped.

    Attributes:
        answer: What the upload was answered.
    """

    batch_id: str
    correlation_id: str
    answer: httpx.Response

    @property
    def files(self) -> list[dict[str, Any]]:
        """What became of each file, in order."""
        return list(self.answer.json()["files"])


@dataclass
class Flow:
    """A world, its intake on a socket and clients of it.

    Attributes:
        teacher: May register, upload and read.
        operator: May do everything.
    """

    world: World
    url: str
    teacher: httpx.Client = field(init=False)
    operator: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.teacher = self._client("teacher", Scope.REGISTER, Scope.UPLOAD, Scope.READ)
        self.operator = self._client("operator", *EVERY_SCOPE)

    def drop(self, files: dict[str, bytes], expected: int | None = None, **more: Any) -> Dropped:
        """Register a batch for these files and upload them, as the front end does on a drop."""
        asked = {"expected_essay_count": len(files) if expected is None else expected, **more}
        registered = self.teacher.post("/v1/batches/register", json=asked)
        assert registered.status_code == 201, registered.text
        batch_id, correlation_id = (registered.json()[it] for it in ("batch_id", "correlation_id"))
        answer = self.upload(batch_id, correlation_id, files)
        assert answer.status_code == 201, answer.text
        assert answer.headers["X-Correlation-ID"] == correlation_id
        return Dropped(batch_id, correlation_id, answer)

    def upload(
        self, batch_id: str, correlation_id: str, files: dict[str, bytes], **headers: str
    ) -> httpx.Response:
        """Upload files; the headers' names have `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return hand_in(self.teacher, files, {"X-Correlation-ID": correlation_id, **named}, batch_id)

    def reprocess(self, batch_id: str, slot: str) -> None:
        """Ask for an essay to be worked over again."""
        answer = self.teacher.post(f"/v1/batches/{batch_id}/essays/{slot}/reprocess")
        assert answer.status_code == 202, answer.text

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The batch as the API tells it, checked to be the same as the list and the ledger's."""
        found: dict[str, Any] = ask(self.teacher, f"/v1/batches/{batch_id}").json()
        assert found == self.world.view(batch_id).model_dump(mode="json")
        listed = {it["batch_id"]: it for it in ask(self.teacher, "/v1/batches").json()}
        assert listed[batch_id].items() <= found.items()
        return found

    def essay(self, batch_id: str, slot: str) -> dict[str, Any]:
        """One essay as the API tells it."""
        found: dict[str, Any] = ask(self.teacher, f"/v1/batches/{batch_id}/essays/{slot}").json()
        return found

    def download(self, batch_id: str, path: str) -> bytes:
        """What is downloaded from an address under the batch."""
        return ask(self.teacher, f"/v1/batches/{batch_id}/{path}").content

    def told(self, dropped: Dropped) -> Counter[str]:
        """How often each event of the batch was published, by its words without the version.

        Every event is one of this flow, and none is in the outbox twice.
        """
        found = [it for it in self.world.events() if it["data"]["batch_id"] == dropped.batch_id]
        assert {it["correlation_id"] for it in found} <= {dropped.correlation_id}
        assert len({it["event_id"] for it in found}) == len(found)
        return Counter(kind(it) for it in found)

    def _client(self, name: str, *scopes: Scope) -> httpx.Client:
        token = new_token()
        with self.world.ledger.write() as tx:
            tx.tokens.create(name, scopes, hash_token(token))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


def kind(event: dict[str, Any]) -> str:
    """The words of an event's type, without its domain and version."""
    return ".".join(event["event_type"].split(".")[2:4])


def ask(client: httpx.Client, path: str) -> httpx.Response:
    """What is found at an address; fails the test if nothing is."""
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer


@contextmanager
def flowing(world: World) -> Iterator[Flow]:
    """Serve the intake of a world until the block ends."""
    languages = frozenset({"en", "sv"})
    services = Services(world.settings, world.ledger, world.blobs, world.intake, languages, LIMITS)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        flow = Flow(world, stack.enter_context(running(build_app(services), listener)))
        stack.enter_context(flow.teacher)
        stack.enter_context(flow.operator)
        yield flow
