"""Keeps a server of one test session and ends it with the session, however that ends.

Run as `python -I -S server_keeper.py KIND PROGRAM`, a program of its own, for the same reason as
`postgres_keeper`. Prints the port when the server answers. It uses the standard library alone.
"""

import os
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 * 1024**3


def main(kind: str, program: Path) -> None:
    """Keep a server until the session ends."""
    # Alone, Python knows neither this project nor the folder that this program is in.
    sys.path.append(str(Path(__file__).parents[2]))
    from tests.support.seaweed_server import Seaweed
    from tests.support.valkey_server import Valkey

    # What ends this program in an ordered way ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = os.getppid()
    folder = Path(tempfile.mkdtemp(prefix=f"huleedu-{kind}-", dir=_parent_folder()))
    server = {"s3": Seaweed, "broker": Valkey}[kind](program, folder)
    try:
        server.start()
        print(server.port, flush=True)
        while os.getppid() == parent:
            if select.select([sys.stdin], [], [], 1)[0]:
                return
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _parent_folder() -> str | None:
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    return str(_MEMORY) if roomy else None


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
