"""SeaweedFS with all its parts in one process, on loopback and on ports of its own.

The standard library alone, as `local_server` says.
"""

import http.client
import json
from pathlib import Path

from tests.support.local_server import LocalServer

ACCESS_KEY = "test-key"
SECRET_KEY = "test-secret"
# May do what the policy of a bucket allows, and nothing else.
GUEST_KEY = "guest-key"
_PORTS = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
_OPTIONS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    # Otherwise a bucket that is missing would never be noticed.
    "-s3.autoCreateBucket=false",
    "-volume.preStopSeconds=0",
)
_IDENTITIES = [
    {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    },
    {
        "name": "guest",
        "credentials": [{"accessKey": GUEST_KEY, "secretKey": SECRET_KEY}],
        "actions": [],
    },
]


class Seaweed(LocalServer):
    """An S3 server on the data of a folder."""

    PORTS = 2 * len(_PORTS)

    def _command(self, data: Path) -> list[str | Path]:
        config = self._folder / "keys.json"
        config.write_text(json.dumps({"identities": _IDENTITIES}))
        names = [*_PORTS, *(f"{name}.grpc" for name in _PORTS)]
        ports = [f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)]
        stores = [f"-dir={data}", f"-s3.config={config}"]
        return [self._program, "mini", *stores, *_OPTIONS, *ports]

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
