"""`huleedu up` as a person meets it: real servers, real daemon, Dagster's own pages."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from huleedu_dagster.domain.outcomes import EssayOutcome, Stage
from tests.e2e.site import Site, can_listen, wait_for

SAMPLES = Path(__file__).parents[2] / "samples"
BATCH = "demo"
ESSAY_ASSETS = [stage.value for stage in Stage]
BATCH_ASSETS = ["batch_manifest", "batch_release", "batch_report"]
CELLS = [f"{BATCH}|e{number:03d}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("home"), SAMPLES)
    try:
        site.hand_in(BATCH)
        site.serve()
        site.wait_until_ready(BATCH)
        yield site
    finally:
        site.close()


def accepted_cells(site: Site) -> set[str]:
    view = site.view(BATCH)
    assert view is not None
    accepted = (it for it in view.essays if it.outcome is EssayOutcome.ACCEPTED)
    return {f"{BATCH}|{it.essay_id}" for it in accepted}


def staleness(site: Site, asset: str) -> dict[str, str]:
    return {cell: site.pages.staleness(asset, cell) for cell in CELLS}


def assert_one_run_failed(site: Site, batch_id: str) -> None:
    """One run failed, and what it left undone was asked for again."""
    runs = site.pages.runs(huleedu__batch=batch_id, huleedu__kind="essays")
    assert runs["FAILURE"] == 1
    assert runs["SUCCESS"] >= 1
    assert set(runs) == {"FAILURE", "SUCCESS"}


def test_a_class_in_the_inbox_is_released_without_any_other_command(site: Site) -> None:
    view = site.view(BATCH)
    assert view is not None
    assert (view.received, view.ready, view.rejected) == (12, 9, 3)
    lines = "".join(site.serve().lines)
    for part in ("code location", "web server", "daemon heartbeat"):
        assert f"ready {part}" in lines


def test_no_log_names_a_file(site: Site) -> None:
    logs = {path.name: path.read_text() for path in (site.home / "logs").iterdir()}
    assert {"code-server.log", "web-server.log", "daemon.log"} <= logs.keys()
    for name, text in logs.items():
        assert not [path for path in SAMPLES.iterdir() if path.stem in text], name


def test_the_pages_open_signed_in_with_the_token_in_the_home_folder(site: Site) -> None:
    url = f"http://127.0.0.1:{site.intake_port}"
    token_file = site.home / "intake-token"
    said = "".join(site.serve().lines)
    assert url in said
    assert str(token_file) in said
    assert token_file.stat().st_mode & 0o777 == 0o600
    page = {"Accept": "text/html"}
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as browser:
        assert browser.get("/sign-in", headers=page).status_code == 200
        assert browser.get("/v1/batches").status_code == 401
        # The first page, whatever it is.
        assert browser.get("/", headers=page).status_code in (200, 404)
        (batch,) = browser.get("/v1/batches").json()
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as program:
        assert program.get("/", headers={**page, "X-Forwarded-For": "::1"}).status_code == 303
        program.headers["Authorization"] = f"Bearer {token_file.read_text().strip()}"
        assert program.get("/v1/batches").json() == [batch]
    assert batch["batch_id"] == BATCH


def test_the_completeness_check_passed_for_the_batch(site: Site) -> None:
    site.serve()
    verdicts = site.pages.evaluations("batch_manifest", "batch_is_complete", BATCH)
    assert verdicts[:1] == [True], "the latest verdict counts"


def test_dagsters_pages_link_to_pages_of_the_intake_that_are_there(site: Site) -> None:
    site.serve()
    intake, page = f"http://127.0.0.1:{site.intake_port}", {"Accept": "text/html"}
    shown = [("batch_manifest", BATCH), ("batch_release", BATCH), ("spellcheck_result", CELLS[0])]
    with httpx.Client(base_url=intake, trust_env=False, timeout=60) as browser:
        browser.get("/", headers=page)
        for asset, partition in shown:
            (link,) = site.pages.links(asset, partition)
            assert link.startswith(f"{intake}/batches/{BATCH}"), asset
            answer = browser.get(link, headers=page)
            assert answer.status_code == 200, asset
            assert BATCH in answer.text, asset


def test_all_essay_assets_are_fresh(site: Site) -> None:
    site.serve()
    for asset in ESSAY_ASSETS:
        assert set(staleness(site, asset).values()) == {"FRESH"}, asset


def test_a_second_up_on_the_same_home_is_refused(site: Site) -> None:
    first = site.serve()
    second = site.launch(port=site.port + 1)
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"`huleedu up` (process {first.process.pid}) works on this home folder" in output
    assert "Traceback" not in output


def test_an_up_on_a_taken_port_is_refused(site: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = Site(tmp_path, SAMPLES).launch(port=port)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"port {port} is taken by another program" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_backfill_of_a_batch_is_one_run_that_checks_every_essay(site: Site) -> None:
    site.serve()
    backfill = site.pages.backfill(ESSAY_ASSETS, CELLS)
    assert backfill.status == "COMPLETED_SUCCESS"
    assert backfill.run_statuses == ("SUCCESS",)
    assert backfill.targets == ((CELLS[0], CELLS[-1]),)
    for cell in CELLS:
        assert site.pages.evaluations("raw_upload", "raw_blob_is_intact", cell)[:1] == [True]
        name = "extraction_is_reproducible"
        assert site.pages.evaluations("extracted_plaintext", name, cell)[:1] == [True]


@pytest.mark.slow
def test_reprocessing_one_essay_touches_that_essay_and_its_batch_only(site: Site) -> None:
    site.serve()
    cell = CELLS[1]
    assets = [*ESSAY_ASSETS, *BATCH_ASSETS]
    before = {asset: site.pages.materializations(asset) for asset in assets}
    backfill = site.pages.backfill(assets, [cell])
    assert backfill.status == "COMPLETED_SUCCESS"
    assert backfill.run_statuses == ("SUCCESS", "SUCCESS")
    assert backfill.targets == ((BATCH, BATCH), (cell, cell))
    for asset in assets:
        target = cell if asset in ESSAY_ASSETS else BATCH
        assert site.pages.materializations(asset) - before[asset] == {target: 1}, asset


def test_ctrl_c_lets_the_run_end_and_then_ends_everything(site: Site) -> None:
    up = site.serve()
    worker = site.freeze_run_of("busy", "*.txt")
    up.process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping" in "".join(up.lines), seconds=60, what="the word that it stops")
    os.kill(worker, signal.SIGCONT)
    assert up.wait() == 0
    assert site.processes() == []
    assert can_listen(site.port)
    assert not (site.home / "dagster" / "server.json").exists()
    site.serve(revision="2")
    assert site.wait_until_ready("busy").ready == 3
    assert set(site.pages.runs(huleedu__batch="busy", huleedu__kind="essays")) == {"SUCCESS"}


def test_a_new_spelling_revision_makes_only_spelling_stale(site: Site) -> None:
    site.serve(revision="2")
    accepted = accepted_cells(site)
    spelling = staleness(site, "spellcheck_result")
    assert {spelling[cell] for cell in accepted} == {"STALE"}
    for asset in ESSAY_ASSETS[:3]:
        assert set(staleness(site, asset).values()) == {"FRESH"}, asset


@pytest.mark.slow
def test_a_killed_run_is_made_up_for(site: Site) -> None:
    site.serve(revision="2")
    os.kill(site.freeze_run_of("killed", "*.txt"), signal.SIGKILL)
    view = site.wait_until_ready("killed")
    assert (view.ready, view.rejected, view.dead_lettered) == (3, 1, 0)
    assert_one_run_failed(site, "killed")


@pytest.mark.slow
def test_after_a_killed_code_server_up_says_so_and_the_next_one_heals(site: Site) -> None:
    up = site.serve(revision="2")
    worker = site.freeze_run_of("lost", "*.txt")
    os.kill(site.code_server(), signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert up.wait() == 1
    said = "".join(up.lines)
    assert "the code server was killed by signal 9; see logs/code-server.log" in said
    assert str(site.home) not in said.partition("the code server")[2]
    wait_for(lambda: site.processes() == [], seconds=60, what="nothing is left")
    site.serve(revision="2")
    assert site.wait_until_ready("lost").ready == 3
    assert_one_run_failed(site, "lost")


@pytest.mark.slow
def test_after_a_killed_supervisor_the_next_up_ends_what_is_left_and_heals(site: Site) -> None:
    up = site.serve(revision="2")
    worker = site.freeze_run_of("cut", "*.txt")
    assert len(site.servers()) == 4
    up.end(signal.SIGKILL)
    wait_for(lambda: not site.servers(), seconds=60, what="the servers end with their parent")
    assert worker in site.processes()
    site.serve(revision="2")
    assert worker not in site.processes()
    assert site.wait_until_ready("cut").ready == 3
    assert_one_run_failed(site, "cut")
