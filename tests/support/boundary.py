"""Faults of the operating system that no permission can cause for a test that runs as root."""

import os
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
