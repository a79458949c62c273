"""Faults of the operating system that no permission can cause for a test that runs as root."""

import os
from pathlib import Path
from typing import Any

import pytest


def refuse_listing(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Make every listing of a folder whose path ends with `ending` fail."""

    def refusing(listing: Any) -> Any:
        def refuse(path: Any = ".") -> Any:
            if str(path).endswith(ending):
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        return refuse

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))


def refuse_entering(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Make a folder whose path ends with `ending` one that may not be entered, nor listed."""
    refuse_listing(monkeypatch, ending)
    stat = Path.stat

    def refuse(path: Path, **how: Any) -> os.stat_result:
        if str(path.parent).endswith(ending):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)


def refuse_reading(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make every reading of a whole file of this name fail."""
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
