"""Names of files in the browser: paths of folders, versions, and names that mean harm."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.teacher import Teacher
from tests.intake.test_pages_names import SEEN, WRITTEN_OUT

pytestmark = pytest.mark.slow


def write(folder: Path, name: str, text: str) -> None:
    """Write the essay of a student into a folder of that student's."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "essay.txt").write_text(f"This essay is about teh sea. {text}")


def test_a_folder_is_handed_in_by_paths_and_more_files_come_later(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, shop = teacher.page, teacher.served.shop
    today, later = tmp_path / "export of today", tmp_path / "export of later"
    write(today, "Anna", "Anna wrote it.")
    write(today, "Bilal", "Bilal wrote it.")
    page.get_by_label("Class").fill("8A")
    page.get_by_label("Essays expected").fill("3")
    # Beside the form nothing happens, and the page stays.
    teacher.tab.drop(page.locator("header"), [today])
    expect(page.locator("[data-list] li")).to_have_count(0)
    teacher.tab.drop(page.locator("[data-drop]"), [today])
    expect(page.locator("[data-list] bdi")).to_have_text(["Anna/essay.txt", "Bilal/essay.txt"])
    teacher.hand_in()
    page.get_by_role("link", name="Watch the batch").click()
    expect(page.locator("#e002")).to_contain_text("Waiting")
    page.locator("#e001 summary").click()
    shop.process_pending()
    expect(page.locator("#e002")).to_contain_text("Accepted")

    write(later, "Anna", "Anna wrote it once more.")
    write(later, "Cleo", "Cleo wrote it.")
    page.locator("[data-folder]").set_input_files(later)
    page.get_by_role("button", name="Hand in 2 files").click()
    expect(page.locator("[data-list]")).to_contain_text("Kept as a new version of e001.")
    expect(page.locator("[data-list]")).to_contain_text("Kept as e003.")
    expect(page.locator("#e001")).to_contain_text("version 2")
    expect(page.locator("#e003")).to_contain_text("Waiting")
    shop.process_pending()
    shop.release(page.url.rsplit("/", 1)[-1])
    expect(page.locator(".status-line .badge")).to_have_text("Ready")
    # What was opened stays so while the page follows its batch.
    expect(page.locator("#e001 details")).to_have_attribute("open", "")
    first, second = ["Anna/essay.txt", "Bilal/essay.txt"], ["Anna/essay.txt", "Cleo/essay.txt"]
    assert teacher.kept() == [*first, *second]
    assert teacher.tab.complaints == []


def test_what_is_typed_stays_while_the_page_follows_its_batch(
    teacher: Teacher, tmp_path: Path
) -> None:
    page, shop = teacher.page, teacher.served.shop
    write(tmp_path, "Anna", "Anna wrote it.")
    page.get_by_label("Essays expected").fill("2")
    teacher.choose(tmp_path / "Anna" / "essay.txt")
    teacher.hand_in()
    page.get_by_role("link", name="Watch the batch").click()
    page.get_by_role("button", name="Close the batch").click()
    page.locator("#e002-more summary").click()
    page.get_by_label("Why").press_sequentially("ill on")
    shop.process_pending()
    expect(page.locator("#e001")).to_contain_text("Accepted")
    expect(page.get_by_label("Why")).to_be_focused()
    page.keyboard.type(" the day")
    expect(page.get_by_label("Why")).to_have_value("ill on the day")
    page.keyboard.press("Enter")
    expect(page.locator("#e002")).to_contain_text("Waived: ill on the day")
    assert teacher.tab.complaints == []


def test_a_name_is_shown_in_the_list_as_on_every_page(teacher: Teacher) -> None:
    names = [*SEEN, *(name for name, _ in WRITTEN_OUT)]
    shown = teacher.page.evaluate("(names) => names.map(huleedu.visible)", names)
    assert shown == [*SEEN, *(expected for _, expected in WRITTEN_OUT)]


def test_names_with_markup_do_nothing_and_nothing_is_wider_than_a_phone(
    teacher_on_a_phone: Teacher, tmp_path: Path
) -> None:
    names = (
        "<img src=x onerror=window.owned=1>.txt",
        "\u202egnp.exe.txt",
        'say "hi".txt',
        "y" * 200 + ".txt",
    )
    for name in names:
        (tmp_path / name).write_text(f"This essay is about teh sea. {len(name)} ships were there.")
    tab, page = teacher_on_a_phone.tab, teacher_on_a_phone.page
    page.get_by_label("Class").fill("<b>7C</b>")
    teacher_on_a_phone.choose(*(tmp_path / it for it in names))
    assert tab.overflow() <= 0
    page.get_by_role("button", name="Hand in 4 files").tap()
    expect(page.locator("[data-list] li.kept")).to_have_count(4)
    assert sorted(teacher_on_a_phone.kept()) == sorted(names)
    assert tab.overflow() <= 0
    page.get_by_role("link", name="Watch the batch").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>7C</b>")
    for name in (names[0], "[U+202E]gnp.exe.txt", names[2]):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    teacher_on_a_phone.served.shop.process_pending()
    expect(page.locator(".essay.accepted")).to_have_count(4)
    page.locator(".whole summary").tap()
    page.locator("#e001 .more summary").tap()
    assert tab.overflow() <= 0
    page.get_by_role("link", name=names[0], exact=True).tap()
    mark = page.locator("mark").first
    expect(page.locator(".tip").first).to_be_hidden()
    mark.tap()
    expect(page.locator(".tip").first).to_be_visible()
    assert tab.overflow() <= 0
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 1
    assert tab.complaints == []
