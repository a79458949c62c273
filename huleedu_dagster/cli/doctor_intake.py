"""What `huleedu doctor` looks at for the intake: does it answer, and can it take anything in."""

import shutil
import stat
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from huleedu_dagster.cli.checks import Check, guarded
from huleedu_dagster.domain.access import Scope, hash_token
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.server import HOST
from huleedu_dagster.settings import Settings

_TIMEOUT_SECONDS = 5.0
_COPIES = 2
"""A request with an Idempotency-Key is set aside first: its files are there twice for a moment."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def examine_intake(settings: Settings, ledger: Ledger | None, port: int | None) -> Iterator[Check]:
    """Look at the intake of an installation; nothing is changed.

    Args:
        settings: The installation.
        ledger: Its ledger, `None` if there is none or it cannot be used.
        port: Port of the intake where `huleedu up` runs, `None` where it does not.
    """
    if port is not None:
        yield _answer(port)
    if ledger is not None:
        opened, runs = ledger, port is not None
        yield guarded("API tokens", lambda: _tokens(settings, opened, runs=runs))
    yield guarded("room on the disk", lambda: _room(settings))
    yield guarded("secret files", lambda: _secrets(settings))


def _answer(port: int) -> Check:
    name = "intake"
    try:
        status = _status(port, "/readyz")
    except (OSError, HTTPException):
        advice = "see logs/intake.log; restart `huleedu up` unless it was started just now"
        return Check(name, ok=False, found=f"does not answer on port {port}; {advice}")
    if status == HTTPStatus.OK:
        return Check(name, ok=True, found=f"answers on port {port}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        found = f"answers on port {port} and cannot use its ledger or its blob store"
        return Check(name, ok=False, found=f"{found}; see logs/intake.log")
    found = f"port {port} answers with {status}: another program may listen there"
    return Check(name, ok=False, found=found)


def _status(port: int, path: str) -> int:
    # A proxy in the environment has nothing to do with this machine's own server.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}{path}", timeout=_TIMEOUT_SECONDS) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code


def _tokens(settings: Settings, ledger: Ledger, *, runs: bool) -> Check:
    name = "API tokens"
    content = _content(settings.token_file)
    with ledger.read() as tx:
        usable = [it for it in tx.tokens.all() if it.revoked_at is None]
        known = content is None or tx.tokens.find_by_hash(hash_token(content)) is not None
    uploaders = sum(Scope.UPLOAD in it.scopes for it in usable)
    if not known:
        found = f"the one in {settings.token_file.name} works no more"
        return Check(name, ok=False, found=f"{found}; `huleedu up` makes a new one at its start")
    if uploaders == 0:
        advice = "`huleedu tokens create` makes one"
        return Check(name, ok=not runs, found=f"none that may hand in files; {advice}")
    return Check(name, ok=True, found=f"{len(usable)} valid, {uploaders} may hand in files")


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def _room(settings: Settings) -> Check:
    folder = settings.blob_folder
    existing = next(it for it in (folder, *folder.parents) if it.exists())
    free, needed = shutil.disk_usage(existing).free, _COPIES * settings.max_upload_bytes
    found = f"{_megabytes(free)} free"
    if free >= needed:
        return Check("room on the disk", ok=True, found=found)
    found += f", a file of HULEEDU_MAX_UPLOAD_BYTES may need {_megabytes(needed)}; free some space"
    return Check("room on the disk", ok=False, found=found)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _secrets(settings: Settings) -> Check:
    files = [it for it in (settings.token_file, settings.session_key_file) if it.exists()]
    open_ones = [it.name for it in files if it.stat().st_mode & _OTHERS]
    if not open_ones:
        found = "for their owner alone" if files else "made when they are needed"
        return Check("secret files", ok=True, found=found)
    names = " ".join(open_ones)
    found = f"others may read {', '.join(open_ones)}: `chmod 600 {names}` in the home folder"
    return Check("secret files", ok=False, found=f"{found}, and revoke the token if they did")
