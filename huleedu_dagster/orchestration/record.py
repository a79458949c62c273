"""What a running `huleedu up` tells others on this home: its ports, and its processes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from huleedu_dagster.settings import Settings

_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """The server of a home.

    Attributes:
        pid: The supervisor.
        port: Port of the pages.
        intake_port: Port of the intake.
        groups: Process groups that were started.
    """

    pid: int
    port: int
    intake_port: int
    groups: tuple[int, ...]

    def write(self, settings: Settings) -> None:
        """Keep it in the home.

        Raises:
            OSError: The home cannot be written.
        """
        path = _path(settings)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)

    @classmethod
    def read(cls, settings: Settings) -> "ServerRecord | None":
        """The record in a home, also one that a killed server left; `None` when there is none."""
        try:
            found = json.loads(_path(settings).read_text())
            return cls(
                pid=int(found["pid"]),
                port=int(found["port"]),
                # An `up` of before the intake may have been killed.
                intake_port=int(found.get("intake_port", 0)),
                groups=tuple(int(it) for it in found["groups"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def forget(settings: Settings) -> None:
        """Remove the record."""
        _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    return settings.dagster_folder / _FILE
