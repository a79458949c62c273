"""What processes that tests start do with the guarded extractor."""

import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from tests.factory.nasty import nested_forms_pdf
from tests.support.sandboxes import cpu_ticks, wait_until

_EXTRACTOR = SandboxedExtractor(sandbox=SandboxLimits(cpu_seconds=60, wall_seconds=60))


def texts(count: int) -> str:
    """The texts of so many files, each read by the workers of this process."""
    return " ".join(_EXTRACTOR.extract(b"hej", "txt").text or "" for _ in range(count))


def report(channel: "Connection[tuple[str, int], object]") -> None:
    """Send the text of a file and the id of this process."""
    channel.send((texts(1), os.getpid()))


def write(path: str, text: str, mode: str = "w") -> None:
    """Write a text whatever the standard streams are."""
    with Path(path).open(mode, encoding="utf-8") as file:
        file.write(text)


def hang_in_thread() -> None:
    """Have one worker at work without an end and another one idle."""
    data = nested_forms_pdf()
    hanging = threading.Thread(target=_EXTRACTOR.extract, args=(data, "pdf"), daemon=True)
    hanging.start()
    wait_until(lambda: any(cpu_ticks(pid) > 2 for pid in _EXTRACTOR.worker_pids))
    texts(1)
