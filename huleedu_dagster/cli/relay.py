"""`huleedu relay`: carries events to a file or a webhook, tells how far it is, replays."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from huleedu_dagster.cli.common import (
    MOST_NUMBER,
    Exit,
    HomeOption,
    Installation,
    JsonOption,
    fail,
    print_json,
)
from huleedu_dagster.cli.events import ledger_unavailable, stopped_by_signals
from huleedu_dagster.cli.tables import print_rows
from huleedu_dagster.domain.durations import MOST_WAIT_SECONDS
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.ledger.records import RelayDeadLetter
from huleedu_dagster.ledger.relays import UnknownRelayDeadLetterError
from huleedu_dagster.observability.logs import configure_foreground
from huleedu_dagster.relay.json_lines import JsonLinesRelay
from huleedu_dagster.relay.port import DeliveryError, Relay
from huleedu_dagster.relay.relaying import (
    ATTEMPTS,
    EventGoneError,
    OtherRelayError,
    Relaying,
    RetryPolicy,
    replay,
)
from huleedu_dagster.relay.standing import Standing, standings
from huleedu_dagster.relay.webhook import InvalidTargetError, WebhookRelay

app = typer.Typer(no_args_is_help=True, help="Carry events to a file or a webhook.")

_ToOption = Annotated[
    str, typer.Option("--to", help="File for JSON lines, or URL (http, https) of a webhook.")
]
_SecretOption = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        exists=True,
        dir_okay=False,
        help="File with the secret that requests to a webhook are signed with.",
    ),
]
_TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.1,
        max=MOST_WAIT_SECONDS,
        help="Seconds that a webhook may take to answer.",
    ),
]


@app.command()
def run(
    to: _ToOption,
    secret_file: _SecretOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all that is recorded is dealt with.")
    ] = False,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Deliveries until an event is a dead letter.")
    ] = ATTEMPTS,
    timeout: _TimeoutOption = 10.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver events, old and new, in order and at least once, until Ctrl-C.

    Exit codes: 0 ended as asked; 3 too, but some events became dead letters; 1 the ledger cannot
    be used or this relay runs already; 2 the target or the secret cannot be used.
    """
    relay = _relay(to, secret_file, timeout)
    installation = Installation.at(home)
    configure_foreground(installation.settings)
    with _alone(installation, relay), stopped_by_signals() as stop:
        carried = Relaying(
            installation.ledger,
            relay,
            stop=stop,
            policy=RetryPolicy(attempts=attempts),
            unavailable=ledger_unavailable(),
        ).run(once=once)
    if as_json:
        print_json({"relay": relay.name, "delivered": carried.delivered, "dead": carried.dead})
    else:
        typer.echo(f"{relay.name}: {carried.delivered} delivered, {carried.dead} dead letters")
    raise typer.Exit(Exit.INCOMPLETE if carried.dead else Exit.READY)


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell how far each relay is and list its open dead letters."""
    found = standings(Installation.at(home).ledger)
    if as_json:
        print_json([_standing(it) for it in found])
        return
    names = ("relay", "position", "behind", "dead_letters")
    rows = ((it.relay, it.position, it.behind, len(it.dead_letters)) for it in found)
    print_rows("Relays", names, rows)
    letters = [_letter(letter) for it in found for letter in it.dead_letters]
    if letters:
        print_rows("Dead letters of relays", tuple(letters[0]), ([*it.values()] for it in letters))


@app.command("replay")
def replay_letters(
    to: _ToOption,
    number: Annotated[
        int | None, typer.Argument(metavar="ID", max=MOST_NUMBER, help="Number of the dead letter.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open one of this relay.")] = False,
    secret_file: _SecretOption = None,
    timeout: _TimeoutOption = 10.0,
    home: HomeOption = None,
) -> None:
    """Deliver events of dead letters now, with one attempt each; the first failure ends it.

    Exit codes: 0 delivered; 1 the delivery failed; 2 there is no such letter of this relay.
    """
    relay = _relay(to, secret_file, timeout)
    if (number is None) is not every:
        fail("give the number of a dead letter, or --all", Exit.USAGE)
    ledger = Installation.at(home).ledger
    with ledger.read() as tx:
        letters = tx.relays.open_letters(relay.name)
    for letter_id in [it.letter_id for it in letters] if number is None else [number]:
        try:
            replay(ledger, relay, letter_id)
        except UnknownRelayDeadLetterError:
            fail(f"there is no dead letter {letter_id} of a relay", Exit.USAGE)
        except (OtherRelayError, EventGoneError) as error:
            fail(str(error), Exit.USAGE)
        except DeliveryError as error:
            fail(f"dead letter {letter_id} stays open: {error}", Exit.INFRASTRUCTURE)
        typer.echo(f"dead letter {letter_id} is delivered")


def _relay(to: str, secret_file: Path | None, timeout: float) -> Relay:
    if "://" in to:
        if secret_file is None:
            fail("a webhook needs --secret-file; its requests are signed", Exit.USAGE)
        try:
            return WebhookRelay(to, secret_file.read_bytes().strip(), timeout=timeout)
        except InvalidTargetError as error:
            fail(str(error), Exit.USAGE)
    path = Path(to).expanduser()
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        fail("--to names a file in a folder that exists", Exit.USAGE)
    return JsonLinesRelay(path)


@contextmanager
def _alone(installation: Installation, relay: Relay) -> Iterator[None]:
    """Hold a lock for a relay: two processes would deliver everything twice."""
    installation.settings.make_home()
    folder = installation.settings.home / "relays"
    folder.mkdir(exist_ok=True)
    with (folder / f"{sha256_hex(relay.name.encode())[:12]}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"the relay {relay.name} runs already", Exit.INFRASTRUCTURE)
        yield


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "relay": standing.relay,
        "position": standing.position,
        "behind": standing.behind,
        "dead_letters": [_letter(it) for it in standing.dead_letters],
    }


def _letter(letter: RelayDeadLetter) -> dict[str, Any]:
    return {
        "id": letter.letter_id,
        "relay": letter.relay,
        "seq": letter.seq,
        "event_id": letter.event_id,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "created_at": letter.created_at.isoformat(),
    }
