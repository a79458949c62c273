"""The command line in this process: quick as a function, with output and exit code."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.cli.app import main


class Huleedu:
    """Runs `huleedu` on one home folder.

    Args:
        home: The home folder.
        monkeypatch: Sets the arguments of this process.
        capsys: Has what is printed.
    """

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("HULEEDU_HOME", str(home))

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What is printed, errors with it."""
        command = ["huleedu", *arguments, "--home", str(self.home)]
        self._monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        found = self._capsys.readouterr()
        assert ended.value.code == code, found.err
        return found.out + found.err

    def json(self, *arguments: str) -> Any:
        """The JSON form of what is printed."""
        return json.loads(self(*arguments, "--json"))
