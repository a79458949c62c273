"""Runs the intake: `python -m huleedu_dagster.intake --port 8000`, on loopback."""

import argparse
from collections.abc import Sequence

_HOST = "127.0.0.1"
_PORT = 8000
_KEEP_ALIVE_SECONDS = 15
_KEEP_KEYS_SECONDS = 7 * 24 * 3600
_SHUTDOWN_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is asked to end.

    Args:
        arguments: The command line; the process's own if `None`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    parser = argparse.ArgumentParser(prog="python -m huleedu_dagster.intake", description=__doc__)
    parser.add_argument("--host", default=_HOST, help="Address to listen on; loopback by default.")
    parser.add_argument("--port", type=int, default=_PORT, help="Port; 0 takes a free one.")
    chosen = parser.parse_args(arguments)

    import uvicorn

    from huleedu_dagster.intake.app import build_app
    from huleedu_dagster.intake.receiving import clear_spool
    from huleedu_dagster.intake.services import Services
    from huleedu_dagster.settings import Settings

    services = Services.of(Settings())
    clear_spool(services.settings.home)
    with services.ledger.write() as tx:
        tx.idempotency.forget(_KEEP_KEYS_SECONDS)
    uvicorn.run(
        build_app(services),
        host=chosen.host,
        port=chosen.port,
        # Names of files and batches are in the addresses; they belong in no log.
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
