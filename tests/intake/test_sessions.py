"""Browsers: how they sign in, what ends their session, and what other sites cannot do with it."""

import select
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import Headers

from huleedu_dagster.domain.access import Scope, hash_token
from huleedu_dagster.intake.private_files import kept
from huleedu_dagster.intake.sessions import COOKIE, Sessions
from huleedu_dagster.settings import Settings
from tests.intake.browsers import HTML, browser, secret_of, session_of, sign_in
from tests.intake.served import LIMITS, Served, serving
from tests.intake.test_door import problem
from tests.support.sandboxes import wait_until

REGISTER = "/v1/batches/register"
ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/å",
    "/sign-in",
    "/sign-out?x",
    "/" + "x" * 3_000,
)


def test_a_browser_signs_in_with_a_token_and_goes_on_where_it_wanted_to(served: Served) -> None:
    client = served.client()
    sent = client.get("/batches/class-a?tab=1&x=%2F", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        "/sign-in?next=%2Fbatches%2Fclass-a%3Ftab%3D1%26x%3D%252F",
    )
    page = client.get(sent.headers["location"], headers=HTML)
    assert page.status_code == 200
    assert 'value="/batches/class-a?tab=1&amp;x=%2F"' in page.text
    answer = sign_in(client, f" {served.token('teacher')}\n", "/batches/class-a?tab=1&x=%2F")
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/class-a?tab=1&x=%2F")
    assert client.get("/v1/batches").json() == []


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_holds_no_token(
    served: Served,
) -> None:
    token = served.token("teacher")
    near = sign_in(served.client(), token).headers["set-cookie"].lower()
    client = served.client()
    client.headers["Host"] = "intake.school.example"
    far = sign_in(client, token).headers["set-cookie"].lower()
    for cookie in (near, far):
        assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= set(cookie.split("; "))
        assert token.lower() not in cookie
    assert "secure" in far.split("; ")
    assert "secure" not in near.split("; ")


def test_without_a_session_pages_lead_to_the_sign_in_and_all_else_is_refused(
    served: Served,
) -> None:
    client = served.client()
    for path in ("/", "/batches/class-a", "/nothing", "/v1", "/healthz/x"):
        sent = client.get(path, headers=HTML)
        assert sent.status_code == 303, path
        assert sent.headers["location"].startswith("/sign-in?next=%2F")
        problem(client.get(path), 401, "NOT_AUTHENTICATED")
    problem(client.get("/v1/batches", headers=HTML), 401, "NOT_AUTHENTICATED")
    assert client.post("/", headers=HTML).status_code == 401
    wrong = {**HTML, "Authorization": "Bearer wrong"}
    assert client.get("/", headers=wrong).status_code == 401


def test_what_is_wrong_is_told_in_a_page_where_a_person_sees_it(served: Served) -> None:
    client = browser(served)
    for path in ("/nothing", "/v2/x", "/batches/unknown"):
        answer = client.get(path, headers=HTML)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["x-correlation-id"] in answer.text
        problem(client.get("/v1/nothing", headers=HTML), 404, "NOT_FOUND")
    answer = client.post("/sign-out", headers=HTML)
    assert answer.status_code == 403
    assert "CSRF_FAILED" in answer.text


def test_a_wrong_token_is_told_and_starts_no_session(served: Served) -> None:
    client = served.client()
    for token in ("", "wrong", f"hul_{'x' * 43}", "\x00", "é"):
        answer = sign_in(client, token)
        assert answer.status_code == 401, token
        assert "not valid" in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.usefixtures("clock")
def test_too_many_wrong_tokens_have_to_wait_and_the_right_one_has_not(tmp_path: Path) -> None:
    limits = replace(LIMITS, failures_per_minute=2)
    with serving(tmp_path, limits) as served:
        client = served.client()
        assert [sign_in(client, "wrong").status_code for _ in range(3)] == [401, 401, 429]
        told = sign_in(client, "wrong")
        assert 1 <= int(told.headers["retry-after"]) <= 60
        assert f"Wait {told.headers['retry-after']} seconds." in told.text
        assert sign_in(client, served.token("teacher")).status_code == 303


@pytest.mark.parametrize("page", ELSEWHERE)
def test_after_the_sign_in_nobody_is_led_elsewhere(served: Served, page: str) -> None:
    answer = sign_in(served.client(), served.token("teacher"), page)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    shown = served.client().get("/sign-in", params={"next": page}, headers=HTML)
    assert 'name="next" value="/"' in shown.text


def test_another_site_cannot_sign_a_browser_in(served: Served) -> None:
    client, token = served.client(), served.token("attacker")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": served.url.replace("127.0.0.1", "localhost")},
    ):
        answer = client.post("/sign-in", data={"token": token}, headers=headers)
        problem(answer, 403, "CSRF_FAILED")
        assert "set-cookie" not in answer.headers


def test_a_link_from_another_site_leads_on_without_a_new_sign_in(served: Served) -> None:
    client = browser(served)
    # Browsers leave a strict cookie out, also when they are sent on.
    client.cookies.clear()
    headers = {**HTML, "Sec-Fetch-Site": "cross-site"}
    sent = client.get("/batches/class-a", headers=headers)
    shown = client.get(sent.headers["location"], headers=headers)
    assert shown.text.count('<a href="/batches/class-a">') == 1
    assert '<a href="/batches/class-a">' not in client.get(sent.headers["location"]).text


def test_a_session_ends_with_its_token(served: Served) -> None:
    token = served.token("teacher")
    client = browser(served, token)
    assert client.get("/v1/batches").status_code == 200
    with served.shop.ledger.write() as tx:
        found = tx.tokens.find_by_hash(hash_token(token))
        assert found is not None
        tx.tokens.revoke(found.token_id)
    problem(client.get("/v1/batches"), 401, "NOT_AUTHENTICATED")
    assert client.get("/", headers=HTML).status_code == 303


def test_a_session_ends_by_itself(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not in the browser, which would forget it by itself.
    kept = {"Cookie": f"{COOKIE}={browser(served).cookies[COOKIE]}"}
    client, now = served.client(), time.time()
    for later, status in ((12 * 3600 - 60, 200), (12 * 3600 + 1, 401)):
        monkeypatch.setattr("time.time", lambda later=later: now + later)
        assert client.get("/v1/batches", headers=kept).status_code == status


def test_signing_out_ends_the_session_also_for_who_kept_the_cookie(served: Served) -> None:
    client = browser(served)
    stolen = {COOKIE: client.cookies[COOKIE]}
    other = browser(served, served.token("other"))
    form = {"csrf_token": session_of(served, client).csrf_token}
    answer = client.post("/sign-out", data=form, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert not client.cookies.get(COOKIE)
    thief = served.client()
    thief.cookies.update(stolen)
    problem(thief.get("/v1/batches"), 401, "NOT_AUTHENTICATED")
    assert other.get("/v1/batches").status_code == 200


def test_a_cookie_that_was_changed_or_signed_by_another_is_no_session(served: Served) -> None:
    client = browser(served)
    cookie = client.cookies[COOKIE]
    token_id = session_of(served, client).token_id
    stranger = Sessions("x" * 32)
    foreign = stranger.cookie(stranger.begin(token_id), secure=False).partition(";")[0]
    changed = [
        cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :] for at in (0, 9)
    ]
    payload, _, signature = cookie.rpartition(".")
    for value in (
        *changed,
        payload,
        f"{payload}.",
        f".{signature}",
        f"{payload}.{signature[:-2]}",
        foreign.partition("=")[2],
        '""',
        "",
        "x" * 5_000,
    ):
        problem(
            served.client().get("/v1/batches", headers={"Cookie": f"{COOKIE}={value}"}),
            401,
            "NOT_AUTHENTICATED",
        )


def test_a_session_survives_the_server_and_counts_on_every_machine_with_the_key(
    tmp_path: Path,
) -> None:
    def recognised(cookie: str, settings: Settings) -> bool:
        headers = Headers({"Cookie": cookie.partition(";")[0]})
        return Sessions.of(settings).find(headers) is not None

    def begun(settings: Settings) -> str:
        sessions = Sessions.of(settings)
        return sessions.cookie(sessions.begin("token"), secure=False)

    one, two = (Settings(home=tmp_path / name) for name in ("one", "two"))
    assert recognised(begun(one), one)
    assert one.session_key_file.stat().st_mode & 0o777 == 0o600
    assert not recognised(begun(one), two)
    before = begun(one)
    one.session_key_file.unlink()
    assert not recognised(before, one)
    shared = [it.model_copy(update={"intake_session_key": "k" * 32}) for it in (one, two)]
    assert recognised(begun(shared[0]), shared[1])


def test_a_key_of_the_settings_is_used_and_a_short_one_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, intake_session_key="k" * 32)
    Sessions.of(settings)
    assert not settings.session_key_file.exists()
    with pytest.raises(ValueError, match="intake_session_key"):
        Settings(home=tmp_path, intake_session_key="k" * 31)
    settings.session_key_file.write_text("")
    with pytest.raises(ValueError, match="key of the sessions"):
        Sessions.of(Settings(home=tmp_path))


def test_processes_that_make_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    path, found = tmp_path / "home" / "secret", []
    all_saw_none = threading.Barrier(8, timeout=60)

    def make() -> str:
        all_saw_none.wait()
        return f"made by {threading.get_ident()}"

    threads = [threading.Thread(target=lambda: found.append(kept(path, make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {path.read_text()}
    assert list(path.parent.iterdir()) == [path]


def test_what_a_browser_changes_needs_the_secret_of_its_own_session(served: Served) -> None:
    client, other = browser(served), browser(served, served.token("other"))
    mine, foreign = secret_of(served, client), secret_of(served, other)
    (name, secret), (_, wrong) = *mine.items(), *foreign.items()
    attempts: tuple[list[tuple[str, str]], ...] = (
        [],
        [(name, "")],
        [(name, wrong)],
        [(name, secret[:-1])],
        [(name, secret), (name, wrong)],
    )
    for headers in attempts:
        answer = client.post(REGISTER, json={"batch_id": "class-a"}, headers=headers)
        problem(answer, 403, "CSRF_FAILED")
    form = client.post(REGISTER, data={"csrf_token": secret})
    problem(form, 403, "CSRF_FAILED")
    assert client.get("/v1/batches").json() == []
    made = client.post(REGISTER, json={"batch_id": "class-a"}, headers=mine)
    assert made.status_code == 201


def test_the_secret_does_not_help_another_site(served: Served) -> None:
    client = browser(served)
    mine = secret_of(served, client)
    own = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    for change in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://["},
    ):
        answer = client.post(REGISTER, json={}, headers={**mine, **own, **change})
        problem(answer, 403, "CSRF_FAILED")
    assert client.post(REGISTER, json={}, headers={**mine, **own}).status_code == 201
    behind_tls = {**own, "Origin": served.url.replace("http:", "https:")}
    assert client.post(REGISTER, json={}, headers={**mine, **behind_tls}).status_code == 201


def test_a_program_with_a_token_needs_no_secret_and_its_cookies_do_not_count(
    served: Served,
) -> None:
    client = browser(served, served.token("all", *Scope))
    bearer = {"Authorization": f"Bearer {served.token('reader', Scope.READ)}"}
    problem(client.post(REGISTER, json={}, headers=bearer), 403, "NOT_ALLOWED")
    wrong = {"Authorization": "Bearer wrong"}
    problem(client.get("/v1/batches", headers=wrong), 401, "NOT_AUTHENTICATED")
    registrar = {"Authorization": f"Bearer {served.token('registrar', Scope.REGISTER)}"}
    assert client.post(REGISTER, json={}, headers=registrar).status_code == 201


def test_a_form_that_cannot_be_read_is_refused_before_its_route(served: Served) -> None:
    client = browser(served)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    def posted(body: bytes, headers: dict[str, str] = kind) -> httpx.Response:
        return client.post("/sign-out", content=body, headers=headers)

    secret = session_of(served, client).csrf_token.encode()
    problem(posted(b"csrf_token=%FF"), 400, "MALFORMED_REQUEST")
    problem(posted(b"csrf_token=\xff"), 400, "MALFORMED_REQUEST")
    problem(posted(b"&a=1" * 2_000), 400, "MALFORMED_REQUEST")
    problem(posted(b"a" * (LIMITS.max_json_bytes + 1)), 413, "REQUEST_TOO_LARGE")
    problem(posted(b"csrf_token=" + secret + b"&csrf_token=x"), 403, "CSRF_FAILED")
    problem(posted(b"csrf_token=" + secret, {"Content-Type": "text/plain"}), 403, "CSRF_FAILED")
    assert client.post("/sign-in", json={"token": served.token("other")}).status_code == 415
    assert client.get("/v1/batches").status_code == 200


def slow_sign_in(served: Served) -> socket.socket:
    """A connection on which the form of the sign-in page never comes."""
    url = urlsplit(served.url)
    slow = socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=60)
    slow.sendall(
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
    )
    return slow


def test_who_is_too_slow_to_sign_in_is_given_up(tmp_path: Path) -> None:
    with (
        serving(tmp_path, replace(LIMITS, idle_seconds=0.2)) as served,
        slow_sign_in(served) as slow,
    ):
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_who_is_slow_to_sign_in_keeps_nobody_else_from_anything(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, max_concurrent=1, idle_seconds=600)) as served:
        teacher = served.teacher()
        with ExitStack() as stack:
            slow = [stack.enter_context(slow_sign_in(served)) for _ in range(64)]
            wait_until(lambda: served.counted.under_way == len(slow))
            assert teacher.get("/v1/batches").status_code == 200
            assert sign_in(served.client(), served.token("other")).status_code == 303
            assert select.select(slow, [], [], 0)[0] == []
        large = {"token": "x" * 20_000}
        problem(served.client().post("/sign-in", data=large), 413, "REQUEST_TOO_LARGE")
