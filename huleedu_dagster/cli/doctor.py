"""`huleedu doctor`: is the installation well, and if not, what to do.

The only place that shows names of files nobody handed in yet: on the terminal, never in a log.
"""

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import version as installed_version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from huleedu_dagster.cli.checks import Check, guarded
from huleedu_dagster.cli.common import (
    Exit,
    HomeOption,
    Installation,
    JsonOption,
    fail,
    print_json,
)
from huleedu_dagster.cli.doctor_intake import examine_intake
from huleedu_dagster.cli.doctor_servers import examine_servers
from huleedu_dagster.domain.completeness import due_to_close
from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_batch_id, is_ignored_path
from huleedu_dagster.orchestration.graphql import WebServerError, health
from huleedu_dagster.orchestration.home import DagsterHome, HomeInUseError
from huleedu_dagster.orchestration.probes import HEARTBEAT_SECONDS
from huleedu_dagster.orchestration.record import ServerRecord
from huleedu_dagster.orchestration.server import HOST
from huleedu_dagster.pipeline.inbox import misnamed
from huleedu_dagster.settings import Settings

_GRACE = timedelta(seconds=60)
"""Time that the sensor may take to close a batch."""
_UP = "up"
_WATCHED_DAEMONS = ("SENSOR", "SCHEDULER", "BACKFILL")


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Look at the home folder, databases, stores, inbox, servers, intake and versions.

    Exit codes: 0 all is well; 1 something is not.
    """
    checks = list(_examine(Installation.at(home)))
    well = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": well, "checks": [asdict(check) for check in checks]})
    else:
        console = Console(highlight=False, soft_wrap=True)
        for check in checks:
            mark = Text("ok  " if check.ok else "BAD ", style="green" if check.ok else "bold red")
            # As text: a name in square brackets is a name, not a style.
            console.print(mark + Text(f"{check.name}: {_printable(check.found)}", style=""))
    if not well:
        count = sum(not check.ok for check in checks)
        fail(f"{count} of {len(checks)} checks found something", Exit.INFRASTRUCTURE)


def _printable(text: str) -> str:
    """Without control characters: a file's name may hold some, and terminals obey them."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _examine(installation: Installation) -> Iterator[Check]:
    settings = installation.settings
    yield _folder("home folder", settings.home)
    yield guarded("who may look into it", lambda: _privacy(settings.home))
    ledger = guarded("ledger", lambda: _ledger(settings))
    yield ledger
    yield guarded("blob store", lambda: _blob_store(settings))
    yield guarded("names in the inbox", lambda: _inbox_names(settings))
    yield guarded("files in the inbox", lambda: _inbox_files(settings))
    yield from _server(settings)
    yield from examine_servers(settings, up_is_here=_intake_port(settings) is not None)
    has_ledger = ledger.ok and _ledger_exists(settings)
    yield from examine_intake(
        settings, installation.ledger if has_ledger else None, _intake_port(settings)
    )
    yield from _versions(settings)
    if has_ledger:
        yield guarded("dead letters", lambda: _dead_letters(installation))
        yield guarded("batches to close", lambda: _overdue(installation))


def _folder(name: str, folder: Path) -> Check:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        # A real file, since permissions do not tell of a full or a read-only disk.
        with tempfile.TemporaryFile(dir=existing) as stream:
            stream.write(b"0")
            stream.flush()
    except OSError as error:
        return Check(name, ok=False, found=f"cannot be written: {error.strerror}")
    return Check(name, ok=True, found="writable" if folder.exists() else "made when it is needed")


def _privacy(home: Path) -> Check:
    name = "who may look into it"
    if not home.exists():
        return Check(name, ok=True, found="made for its owner alone")
    found = home.stat()
    mode = stat.S_IMODE(found.st_mode)
    # Of a volume that is another account's nobody here can change it, in a container for one.
    if not mode & stat.S_IRWXO or os.geteuid() not in (0, found.st_uid):
        return Check(name, ok=True, found=f"as its owner wants it (mode {mode:03o})")
    return Check(
        name,
        ok=False,
        found=f"every account of this machine (mode {mode:03o}); "
        f"`chmod o-rwx {home}` keeps them out",
    )


def _blob_store(settings: Settings) -> Check:
    name = "blob store"
    if not settings.s3_endpoint:
        return _folder(name, settings.blob_folder)
    from huleedu_dagster.storage.s3 import S3BlobStore

    S3BlobStore.of(settings).check()
    found = f"bucket {settings.s3_bucket} on {settings.s3_endpoint} can be listed"
    return Check(name, ok=True, found=found)


def _ledger_exists(settings: Settings) -> bool:
    import sqlalchemy as sa

    url = sa.make_url(settings.resolved_ledger_url)
    file = url.database if url.get_backend_name() == "sqlite" else None
    return file is None or Path(file).exists()


def _ledger(settings: Settings) -> Check:
    from huleedu_dagster.ledger.ledger import Ledger
    from huleedu_dagster.ledger.migrations.runner import HEAD

    name = "ledger"
    if not _ledger_exists(settings):
        return Check(name, ok=True, found="made when it is needed")
    ledger = Ledger.of(settings)
    try:
        revision = ledger.schema_revision()
    finally:
        ledger.close()
    if revision == HEAD:
        return Check(name, ok=True, found=f"schema revision {revision}")
    found = f"schema revision {revision or 'none'}, this program works with {HEAD}"
    return Check(name, ok=False, found=f"{found}; `huleedu status` brings an older one up to date")


def _inbox_names(settings: Settings) -> Check:
    bad = misnamed(settings.inbox_folder)
    if not bad:
        return Check("names in the inbox", ok=True, found="every folder can be a batch")
    return Check(
        "names in the inbox",
        ok=False,
        found=f"not taken in: {', '.join(bad)}; each class is a folder named with lower-case "
        "letters, digits and '-'",
    )


def _inbox_files(settings: Settings) -> Check:
    name = "files in the inbox"
    folder = settings.inbox_folder
    batches = sorted(folder.iterdir()) if folder.exists() else []
    found = [
        f"{path.relative_to(folder)} ({trouble})"
        for batch in batches
        if batch.is_dir() and is_batch_id(batch.name)
        for path in sorted(batch.rglob("*"))
        if (trouble := _trouble(path, batch, settings.max_upload_bytes))
    ]
    if not found:
        return Check(name, ok=True, found="all can be read")
    return Check(name, ok=False, found=f"not taken in: {', '.join(found)}")


def _trouble(path: Path, batch: Path, max_bytes: int) -> str | None:
    name = path.relative_to(batch).as_posix()
    if is_ignored_path(name) or path.is_symlink():
        return None
    if path.is_dir():
        return None if os.access(path, os.R_OK | os.X_OK) else "cannot be opened"
    try:
        essay_path(name)
    except InvalidIdError:
        return "its name cannot be an essay's"
    if not path.is_file() or not os.access(path, os.R_OK):
        return "cannot be read"
    if path.stat().st_size > max_bytes:
        return f"larger than {max_bytes} bytes"
    return None


def _server(settings: Settings) -> Iterator[Check]:
    try:
        user = DagsterHome(settings).user()
    except OSError as error:
        yield Check("in use by", ok=False, found=f"cannot be read: {error.strerror}")
        return
    yield Check("in use by", ok=True, found=_user(user))
    if user is not None and user.role == _UP:
        yield _heartbeat(ServerRecord.read(settings))


def _user(user: HomeInUseError | None) -> str:
    if user is None:
        return "nobody; `huleedu up` starts the pages and the sensors"
    return f"`huleedu {user.role}` (process {user.pid})"


def _intake_port(settings: Settings) -> int | None:
    """Port of the intake, `None` where `huleedu up` does not run."""
    try:
        user = DagsterHome(settings).user()
    except OSError:
        return None
    record = ServerRecord.read(settings)
    return record.intake_port if user is not None and user.role == _UP and record else None


def _heartbeat(record: ServerRecord | None) -> Check:
    name = "daemon heartbeat"
    if record is None:
        return Check(name, ok=False, found="`huleedu up` is just starting or ending")
    try:
        found = health(f"http://{HOST}:{record.port}")
    except WebServerError as error:
        advice = "restart `huleedu up` unless it was started just now"
        return Check(name, ok=False, found=f"{error} on port {record.port}; {advice}")
    if found.load_errors:
        return Check(name, ok=False, found="the code is not loaded; see logs/code-server.log")
    beats = [found.heartbeats.get(daemon, 0.0) for daemon in _WATCHED_DAEMONS]
    age = time.time() - min(beats)
    if age > HEARTBEAT_SECONDS:
        text = "none yet" if min(beats) == 0 else f"the last was {age:.0f} s ago"
        return Check(name, ok=False, found=f"{text}; see logs/daemon.log, restart `huleedu up`")
    return Check(name, ok=True, found=f"{max(age, 0):.0f} s ago, pages on port {record.port}")


def _versions(settings: Settings) -> Iterator[Check]:
    from huleedu_dagster.resources.extractor import ExtractorResource

    for library in ("huleedu-dagster", "dagster", "pyspellchecker"):
        yield Check(library, ok=True, found=installed_version(library))
    yield Check("extraction", ok=True, found=ExtractorResource.of(settings).open().version)
    yield guarded("spelling", lambda: _spelling(settings))


def _spelling(settings: Settings) -> Check:
    from huleedu_dagster.resources.speller import SpellerResource

    told: list[str] = []
    resource = SpellerResource.of(settings)
    try:
        resource.prepare(settings.language, told.append)
        return Check("spelling", ok=True, found=resource.open().version)
    except OSError as error:
        advice = "see the settings HULEEDU_LANGUAGE, …_WORD_LIST, …_DICTIONARIES, …_SPELLING_CACHE"
        return Check("spelling", ok=False, found=f"{error}; {advice}")


def _dead_letters(installation: Installation) -> Check:
    with installation.ledger.read() as tx:
        count = len(tx.failures.open_letters())
    advice = "" if count == 0 else "; `huleedu dlq list` shows them"
    return Check("dead letters", ok=count == 0, found=f"{count} open{advice}")


def _overdue(installation: Installation) -> Check:
    quiet = installation.settings.inbox_quiet_seconds
    with installation.ledger.read() as tx:
        overdue = [
            batch.batch_id
            for batch in tx.batches.open()
            if due_to_close(
                batch.registration,
                received=tx.essays.count(batch.batch_id),
                last_received_at=batch.last_received_at,
                quiet_seconds=quiet,
                now=tx.now - _GRACE,
            )
        ]
    if not overdue:
        return Check("batches to close", ok=True, found="none is overdue")
    names = ", ".join(overdue)
    return Check(
        "batches to close",
        ok=False,
        found=f"past their closing moment: {names}; `huleedu up` or `huleedu close` closes them",
    )
