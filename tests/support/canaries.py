"""Secrets that are put into an installation, and the places where they come to light."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa

_SQLITE = b"SQLite format 3\0"
_MARK = "zqx"


def canary(kind: str) -> str:
    """A word that stands nowhere else, and says what it was."""
    return f"{_MARK}{kind}vokt"


def seen_in(text: bytes, secrets: Mapping[str, str]) -> set[str]:
    """Which secrets a text holds, in whatever case and in the encodings of this project's formats.

    Args:
        text: What is looked through; packed contents are unpacked.
        secrets: The secrets by name.
    """
    texts = [it.lower() for it in (text, *_unpacked(text))]
    return {name for name, it in secrets.items() if any(_holds(text, it) for text in texts)}


def in_files(folder: Path, secrets: Mapping[str, str]) -> set[tuple[str, str]]:
    """Which secrets are where in a folder: in names of files, in their bytes, and in rows."""
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        found |= {(name, it) for it in seen_in(name.encode(), secrets)}
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found |= {(name, it) for it in seen_in(content, secrets)}
            if content.startswith(_SQLITE):
                url = f"sqlite:///{path}"
                found |= {(f"{name}:{row}", it) for row, it in in_database(url, secrets)}
    return found


def in_database(url: str, secrets: Mapping[str, str]) -> set[tuple[str, str]]:
    """Which secrets are in which table of a database."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    tables = sa.MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        return {
            (table.name, secret)
            for table in tables.sorted_tables
            for row in connection.execute(sa.text(f'SELECT * FROM "{table.name}"'))
            for secret in seen_in(_bytes(row), secrets)
        }


def in_processes(pids: Iterable[int], secrets: Mapping[str, str]) -> set[tuple[str, str]]:
    """Which secrets are in the command lines of processes, where every user can read them."""
    found = set()
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        found |= {(line.decode(errors="replace"), it) for it in seen_in(line, secrets)}
    return found


def _holds(text: bytes, secret: str) -> bool:
    word = secret.lower()
    # A byte of a text in UTF-16 is a byte of its ASCII, followed by nothing.
    spelled = {word.encode(), word.encode("utf-16-le"), json.dumps(word)[1:-1].encode()}
    return any(it in text for it in spelled)


def _bytes(row: Iterable[object]) -> bytes:
    cells = []
    for cell in row:
        raw = bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()
        cells += [raw, *_unpacked(raw)]
    return b"\n".join(cells)


def _unpacked(raw: bytes) -> Iterator[bytes]:
    # Dagster packs the snapshots of jobs.
    if raw[:1] == b"\x78":
        try:
            yield zlib.decompress(raw)
        except zlib.error:
            return
