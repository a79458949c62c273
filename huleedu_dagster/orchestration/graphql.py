"""Questions to the web server of this machine: is the code loaded, is the daemon alive."""

import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

_HEALTH = """{
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError {
      __typename ... on PythonError { message } } } }
    ... on PythonError { message }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType lastHeartbeatTime } } }
}"""


class WebServerError(Exception):
    """The web server does not answer, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the web server says.

    Attributes:
        loaded: Names of the code locations that are loaded.
        load_errors: Messages of those that are not.
        heartbeats: Last heartbeat of each daemon, in seconds since 1970. Dagster's own word
            that a daemon is healthy holds for half an hour after its end, so it is not used.
    """

    loaded: tuple[str, ...]
    load_errors: tuple[str, ...]
    heartbeats: dict[str, float]


def health(url: str, *, timeout: float = 5.0) -> Health:
    """Ask how things are.

    Args:
        url: Address of the web server.
        timeout: Seconds to wait for the answer.

    Raises:
        WebServerError: There is no answer, or it cannot be understood.
    """
    data = _ask(url, _HEALTH, timeout)
    try:
        workspace = data["workspaceOrError"]
        entries = workspace.get("locationEntries", [])
        states = [(it["name"], it["locationOrLoadError"] or {}) for it in entries]
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        failed = [state["message"] for _, state in states if "message" in state]
        return Health(
            loaded=tuple(name for name, it in states if it and "message" not in it),
            load_errors=tuple([workspace["message"]] if "message" in workspace else failed),
            heartbeats={it["daemonType"]: it["lastHeartbeatTime"] or 0.0 for it in statuses},
        )
    except (KeyError, TypeError) as error:
        raise WebServerError("the web server gave an answer that is not understood") from error


def _ask(url: str, query: str, timeout: float) -> Any:
    request = urllib.request.Request(  # noqa: S310 - the address is our own
        f"{url}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    # A proxy in the environment has nothing to do with this machine's own server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as response:
            return json.load(response)["data"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise WebServerError("the web server does not answer") from error
