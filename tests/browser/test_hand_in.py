"""Handing in when things go wrong: a busy or broken server, a lost connection, a session's end."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FileChooser, Page, Route, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.chromium import DESKTOP
from tests.browser.teacher import Teacher, signed_in
from tests.intake.served import LIMITS

pytestmark = pytest.mark.slow

LOST = """
    const send = XMLHttpRequest.prototype.send;
    window.sent = [];
    XMLHttpRequest.prototype.send = function (body) {
      if (%s) {
        window.sent.push(this);
        if (window.sent.length <= %d) {
          const lost = this.onerror;
          this.onload = () => lost();
        }
      }
      return send.call(this, body);
    };
    null;
"""
UPLOADS = "**/v1/files/batch"
FILES = "body instanceof Blob"
CLASS = "typeof body === 'string'"
ASTRAY_ONCE = """
    const open = XMLHttpRequest.prototype.open;
    XMLHttpRequest.prototype.open = function (method, url) {
      const astray = url.includes("files") && !window.astray;
      window.astray ||= astray;
      return open.call(this, method, astray ? "/v1/files/nowhere" : url);
    };
    null;
"""
LIVE = "**/live"
# The longest time that an answer is waited for ends when the test says so.
PATIENCE = """
    let first = null;
    AbortSignal.timeout = (ms) => {
      const waiting = new AbortController();
      if (ms === 30_000) first ||= waiting;
      return waiting.signal;
    };
    window.outOfPatience = () => first.abort(new DOMException("too late", "TimeoutError"));
"""
# A request that takes long is broken off as late as ever.
IMPATIENT = """
    const wait = window.setTimeout;
    window.setTimeout = (work, ms) => wait(work, ms === 90_000 ? ms : Math.min(ms, 50));
    null;
"""


def essays(folder: Path, count: int) -> list[Path]:
    """Files with essays, in order."""
    paths = [folder / f"{number:02d}.txt" for number in range(count)]
    for path in paths:
        path.write_text(f"This essay of {path.stem} is about teh sea and the ships on it.")
    return paths


def test_a_server_that_cannot_keep_files_is_waited_for(teacher: Teacher, tmp_path: Path) -> None:
    page, held, was_seen = teacher.page, list[Route](), False
    teacher.served.shop.blobs.fail("write", "raw_upload_blob", 1)

    def hold(route: Route) -> None:
        if was_seen:
            route.continue_()
        else:
            held.append(route)

    # What it says while it waits stands until the second time is let through.
    page.route(UPLOADS, hold)
    page.route(UPLOADS, lambda route: route.continue_(), times=1)
    teacher.choose(*essays(tmp_path, 3))
    teacher.hand_in()
    state = page.locator("[data-list] .state").first
    expect(state).to_contain_text("nothing is promised")
    expect(state).to_contain_text("Trying again")
    assert teacher.kept() == []
    was_seen = True
    for it in held:
        it.continue_()
    expect(page.locator("li.kept")).to_have_count(3)
    assert teacher.kept() == ["00.txt", "01.txt", "02.txt"]


def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_kept_twice(
    teacher: Teacher, tmp_path: Path
) -> None:
    teacher.page.evaluate(LOST % (FILES, 1))
    teacher.choose(*essays(tmp_path, 12))
    teacher.hand_in()
    expect(teacher.page.locator("li.kept")).to_have_count(12)
    assert teacher.kept() == [f"{number:02d}.txt" for number in range(12)]
    # Ten files and their repetition, then the other two.
    assert teacher.page.evaluate("sent.length") == 3
    expect(teacher.page.locator("[data-list] li").nth(9)).to_contain_text("Kept as e010.")


def test_a_server_that_stays_busy_is_given_up_after_ten_minutes_and_tried_again_later(
    browser: Browser, tmp_path: Path
) -> None:
    with signed_in(browser, tmp_path / "home", DESKTOP, retry_seconds=120) as teacher:
        page = teacher.page
        page.evaluate(IMPATIENT)
        # Asked, five times waited for two minutes, and once for the two files that are left.
        teacher.served.shop.blobs.fail("write", "raw_upload_blob", 7)
        teacher.choose(*essays(tmp_path, 12))
        teacher.hand_in()
        expect(page.locator("li.failed")).to_have_count(12)
        expect(page.locator("li.failed").last).to_contain_text("nothing is promised")
        assert teacher.kept() == []
        page.get_by_role("button", name="Try 12 files again").click()
        expect(page.get_by_role("status")).to_have_text("All 12 files are kept.")
        assert len(teacher.kept()) == 12


def test_a_class_that_may_be_registered_already_is_gone_on_with(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, ledger = teacher.page, teacher.served.shop.ledger
    page.evaluate(IMPATIENT)
    page.evaluate(LOST % (CLASS, 5))
    page.get_by_label("Class").fill("9B")
    teacher.choose(*essays(tmp_path, 1))
    teacher.hand_in()
    expect(page.locator("[data-problem]")).to_contain_text("may be registered already")
    expect(page.get_by_label("Class")).to_be_disabled()
    assert teacher.kept() == []
    teacher.hand_in()
    expect(page.get_by_role("status")).to_have_text("1 file kept.")
    with ledger.read() as tx:
        assert [it.registration.class_name for it in tx.batches.all()] == ["9B"]
    assert teacher.kept() == ["00.txt"]


def test_a_file_edited_after_it_was_chosen_is_handed_in_when_it_is_chosen_again(
    teacher: Teacher, tmp_path: Path
) -> None:
    page = teacher.page
    page.evaluate(IMPATIENT)
    (path,) = essays(tmp_path, 1)
    teacher.choose(path)
    path.write_text("This essay is about teh sea and all that was written later.")
    teacher.hand_in()
    expect(page.locator("li.failed")).to_contain_text("changed meanwhile")
    teacher.choose(path)
    teacher.hand_in()
    expect(page.get_by_role("status")).to_have_text("1 file kept.")
    expect(page.locator("[data-list] li")).to_have_count(1)
    assert teacher.kept() == ["00.txt"]


def test_a_file_that_is_gone_loses_no_other_and_is_not_called_kept(
    teacher: Teacher, tmp_path: Path
) -> None:
    page = teacher.page
    page.evaluate(IMPATIENT)
    paths = essays(tmp_path, 3)
    teacher.choose(*paths)
    paths[1].unlink()
    teacher.hand_in()
    expect(page.locator("li.kept")).to_have_count(2)
    gone = page.locator("li.failed")
    expect(gone).to_contain_text("Not kept: The connection was lost, or the file was moved")
    assert sorted(teacher.kept()) == ["00.txt", "02.txt"]
    expect(page.get_by_role("status")).to_have_text("2 files kept, 1 not kept.")
    expect(page.get_by_role("button", name="Try again: 01.txt")).to_be_visible()


def test_what_the_server_refuses_keeps_its_sentence_and_can_be_tried_again(
    teacher: Teacher, tmp_path: Path
) -> None:
    page = teacher.page
    page.evaluate(ASTRAY_ONCE)
    teacher.choose(*essays(tmp_path, 1))
    teacher.hand_in()
    expect(page.locator("li.failed")).to_contain_text("There is nothing here.")
    assert teacher.kept() == []
    page.get_by_role("button", name="Try again: 00.txt").press("Enter")
    expect(page.locator("li.kept")).to_contain_text("Kept as e001.")


def test_an_answer_that_the_page_does_not_know_leaves_no_file_on_its_way(
    teacher: Teacher, tmp_path: Path
) -> None:
    page = teacher.page

    def of_a_newer_server(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["files"][1]["status"] = "put_aside"
        route.fulfill(response=answer, json=told)

    page.route(UPLOADS, of_a_newer_server, times=1)
    teacher.choose(*essays(tmp_path, 3))
    teacher.hand_in()
    expect(page.get_by_role("alert").filter(has_text="Something went wrong")).to_be_visible()
    expect(page.locator("li.sending")).to_have_count(0)
    expect(page.locator("li.kept")).to_have_count(1)
    expect(page.locator("li.failed").first).to_contain_text("not known whether this file was kept")
    page.get_by_role("button", name="Try 2 files again").click()
    expect(page.locator("li.kept")).to_have_count(3)
    assert teacher.kept() == ["00.txt", "01.txt", "02.txt"]


def test_every_file_has_its_own_result(teacher: Teacher, tmp_path: Path) -> None:
    page = teacher.page
    page.get_by_label("Essays expected").fill("1")
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (LIMITS.max_file_bytes + 1))
    hidden = tmp_path / ".hidden"
    hidden.write_text("Litter.")
    teacher.choose(*essays(tmp_path, 2), large, hidden)
    expect(page.locator("li.failed")).to_contain_text("larger than an essay can be")
    teacher.hand_in()
    rows = page.locator("[data-list] li")
    expect(rows.filter(has_text="00.txt")).to_contain_text("Kept as e001.")
    expect(rows.filter(has_text="01.txt")).to_contain_text("not counted: the batch has all")
    expect(rows.filter(has_text=".hidden")).to_contain_text("left out")
    assert teacher.kept() == ["00.txt", "01.txt"]


def test_a_file_that_is_not_counted_is_not_called_counted_when_it_comes_again(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, paths = teacher.page, essays(tmp_path, 2)
    page.get_by_label("Essays expected").fill("1")
    teacher.choose(*paths)
    teacher.hand_in()
    summary = "All 2 files are kept, 1 of them not counted."
    expect(page.get_by_role("status")).to_have_text(summary)
    teacher.choose(*paths)
    page.get_by_role("button", name="Hand in 2 files").click()
    expect(page.locator("li.kept")).to_contain_text("Here already as e001; nothing changed.")
    expect(page.locator("li.aside")).to_contain_text("Here already, and not counted.")
    expect(page.get_by_role("status")).to_have_text(summary)
    assert teacher.kept() == ["00.txt", "01.txt"]


def test_a_file_that_was_refused_can_be_taken_off_the_list(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, (good,) = teacher.page, essays(tmp_path, 1)
    bad = tmp_path / "a: my essay.txt"
    bad.write_text("This essay is about teh sea.")
    teacher.choose(good, bad)
    teacher.hand_in()
    expect(page.locator("li.kept")).to_contain_text("Kept as e001.")
    expect(page.locator("li.failed")).to_contain_text("Not kept: ")
    expect(page.get_by_role("button", name="Remove 00.txt")).to_be_hidden()
    page.get_by_role("button", name="Remove a: my essay.txt").press("Enter")
    expect(page.locator("[data-list] li")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("1 file kept.")
    # Nothing is left to press in the list, and nothing to hand in.
    expect(page.get_by_role("link", name="Watch the batch")).to_be_focused()


def test_wrong_values_are_told_beside_their_fields(teacher: Teacher, tmp_path: Path) -> None:
    page = teacher.page
    page.get_by_label("Essays expected").fill("100")
    teacher.choose(*essays(tmp_path, 1))
    teacher.hand_in()
    field = page.get_by_label("Essays expected")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("whole number from 1 to 99"))
    field.fill("")
    page.get_by_label("Deadline").fill("2020-01-01T10:00")
    teacher.hand_in()
    expect(page.get_by_label("Deadline")).to_be_focused()
    page.get_by_label("Deadline").fill("20266-12-01T10:00")
    teacher.hand_in()
    field = page.get_by_label("Deadline")
    expect(field).to_have_accessible_description(re.compile("a year of four digits"))
    field.fill("")
    assert teacher.kept() == []
    teacher.hand_in()
    expect(page.locator("li.kept")).to_have_count(1)


def test_two_files_of_one_name_are_not_taken_for_versions(teacher: Teacher, tmp_path: Path) -> None:
    page = teacher.page
    for name in ("Anna", "Bilal"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "essay.txt").write_text(f"This is what {name} wrote about the sea.")
        page.locator("[data-folder]").set_input_files(tmp_path / name)
    expect(page.locator("[data-list] li")).to_have_count(1)
    expect(page.locator("[data-problem]")).to_contain_text("the same name: essay.txt")


def test_a_batch_page_that_was_signed_out_says_so(teacher: Teacher, tmp_path: Path) -> None:
    page = teacher.page
    teacher.choose(*essays(tmp_path, 1))
    teacher.hand_in()
    page.get_by_role("link", name="Watch the batch").click()
    expect(page.locator("#e001")).to_contain_text("Waiting")
    page.context.clear_cookies()
    teacher.served.shop.process_pending()
    expect(page.get_by_role("alert").first).to_contain_text("you may be signed out")
    expect(page.locator("#e001")).to_be_visible()


def test_a_batch_page_gives_up_an_answer_that_does_not_come_and_asks_again(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, held = teacher.page, list[Route]()
    page.add_init_script(PATIENCE)
    page.route(LIVE, lambda route: held.append(route), times=1)
    teacher.choose(*essays(tmp_path, 1))
    teacher.hand_in()
    page.get_by_role("link", name="Watch the batch").click()
    expect(page.locator("#e001")).to_contain_text("Waiting")
    with page.expect_request(LIVE):
        teacher.served.shop.process_pending()
    page.evaluate("outOfPatience()")
    expect(page.get_by_role("alert").first).to_contain_text("goes on trying")
    expect(page.locator("#e001")).to_contain_text("Accepted")
    expect(page.locator("[data-lost]")).to_be_hidden()


def opened_chooser(page: Page) -> FileChooser:
    """The window in which files are chosen, opened by the key that everybody uses."""
    for patience in (5_000, 30_000):
        try:
            with page.expect_file_chooser(timeout=patience) as chooser:
                page.keyboard.press("Enter")
        except PlaywrightTimeoutError:
            # Chromium opens none for a press that it takes in too late on a busy machine.
            continue
        return chooser.value
    raise AssertionError("no window was opened")


def test_the_drop_page_is_used_by_keyboard_alone(teacher: Teacher, tmp_path: Path) -> None:
    page = teacher.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Class")).to_be_focused()
    page.keyboard.type("9B")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.locator("[data-files]").evaluate("it => it === document.activeElement"):
            break
    expect(page.locator("[data-files]")).to_be_focused()
    opened_chooser(page).set_files(essays(tmp_path, 1))
    expect(page.get_by_role("button", name="Hand in 1 file")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Watch the batch")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("9B")
