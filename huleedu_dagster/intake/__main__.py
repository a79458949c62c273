"""Runs the intake: `python -m huleedu_dagster.intake --port 8000`, on loopback."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress

_HOST = "127.0.0.1"
_PORT = 8000
_KEEP_ALIVE_SECONDS = 15
_SHUTDOWN_SECONDS = 10
_OPEN_FILES = 65_536


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
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="The installation is one person's: make a first token, and sign in who runs this.",
    )
    chosen = parser.parse_args(arguments)

    import uvicorn

    from huleedu_dagster.intake.app import build_app
    from huleedu_dagster.intake.services import Services
    from huleedu_dagster.intake.serving import IntakeServer
    from huleedu_dagster.intake.upkeep import Upkeep
    from huleedu_dagster.intake.wire import IntakeProtocol
    from huleedu_dagster.observability.logs import configure_service
    from huleedu_dagster.settings import Settings

    settings = Settings()
    configure_service(settings)
    _allow_open_files()
    services = Services.of(settings, embedded=chosen.embedded)
    app = build_app(services)
    config = uvicorn.Config(
        app,
        host=chosen.host,
        port=chosen.port,
        # Names of files and batches are in the addresses; our lines have the routes.
        access_log=False,
        log_config=None,
        http=IntakeProtocol,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    server = IntakeServer(config, app.state.streams)
    with Upkeep.of(services).running(), suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(1)


def _allow_open_files() -> None:
    """Let every connection have its file descriptor; shells often allow 1,024 for everything."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    main()
