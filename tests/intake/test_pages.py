"""The pages over a real socket: what they show, to whom, and that nothing of it is a script."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import pytest

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.intake.pages.home import PAGE_SIZE
from tests.intake.forms import GOOD, KIND, URL, field, file, form, hand_in, register
from tests.intake.served import Served

HTML = {"Accept": "text/html"}
PAGES = ("/", "/batches/class-a", "/batches/class-a/live", "/batches/class-a/essays/e001")
MISSING = ("/batches/class-z", "/batches/class-a/essays/e009", "/batches/class-z/live", "/?page=0")


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser.handle_starttag`."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """See `HTMLParser.handle_data`."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attributes for found, attributes in self.found if found == tag]


def shown(client: httpx.Client, path: str, status: int = 200) -> Elements:
    """The page at a path, checked for what holds for every page."""
    answer = client.get(path, headers=HTML)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = Elements(answer.text)
    for tag, attributes in page.found:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert tag != "style"
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/")
        for name in ("src", "href", "action"):
            assert not str(attributes.get(name, "")).startswith(("http", "//", "javascript:"))
    return page


def a_class(served: Served, client: httpx.Client) -> None:
    """A closed batch with an accepted and a rejected essay, one that is missing, and a late one."""
    register(client, expected=3)
    hand_in(client, {"Anna/essay.txt": GOOD, "empty.txt": b""})
    served.shop.process_pending()
    client.post("/v1/batches/class-a/close")
    hand_in(client, {"late.txt": GOOD})


def test_no_page_holds_a_script_or_a_style_of_its_own(served: Served) -> None:
    client = served.operator()
    a_class(served, client)
    for path in PAGES:
        shown(client, path)
    for path in MISSING:
        shown(client, path, 422 if "?" in path else 404)


def test_every_file_that_a_page_names_is_there_without_a_token_and_may_be_kept(
    served: Served,
) -> None:
    client = served.operator()
    a_class(served, client)
    anybody = served.client()
    named = {
        str(it.get("src") or it.get("href"))
        for path in PAGES
        for tag in ("script", "link", "img")
        for it in shown(client, path).all(tag)
    }
    assert len(named) >= 6
    for address in named:
        answer = anybody.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for address in ("/static/", "/static/none.js", "/static/..%2frendering.py"):
        assert anybody.get(address).status_code == 404, address


def test_the_page_of_a_batch_tells_codes_sentences_and_what_to_do(served: Served) -> None:
    client = served.operator()
    a_class(served, client)
    text = shown(client, "/batches/class-a").text
    for part in (
        "EMPTY_CONTENT",
        "The file has no text in it.",
        "hand in the one with the essay",
        "1 misspelling",
        "ARRIVED_LATE",
        "An essay was expected here.",
        "someone closed it",
    ):
        assert part in text, part


def test_without_scripts_the_pages_say_what_needs_them_and_do_not_load_themselves_again(
    served: Served,
) -> None:
    client = served.operator()
    register(client, expected=2)
    hand_in(client, {"a.txt": GOOD})
    inside = re.compile("<noscript>(.*?)</noscript>")

    def instead(path: str) -> list[str]:
        return inside.findall(client.get(path, headers=HTML).text)

    assert any("needs JavaScript" in it for it in instead("/"))
    # What loads itself again takes away what somebody is reading or writing.
    for path in ("/batches/class-a", "/batches/class-a/essays/e001"):
        page = shown(client, path)
        assert not any("http-equiv" in it for it in page.all("meta"))
        assert path in {it.get("href") for it in page.all("a")}
    assert any("Load it again" in it for it in instead("/batches/class-a"))


def test_the_longest_waiting_essay_tells_how_long_it_waits(served: Served) -> None:
    client = served.operator()
    register(client, expected=2)
    hand_in(client, {"a.txt": GOOD})
    served.shop.clock.advance(90)
    page = shown(client, "/batches/class-a/live")
    assert "1 essay waiting, the longest for 1 min" in re.sub(r"\s+", " ", page.text)
    served.shop.process_pending()
    assert "waiting, the longest" not in shown(client, "/batches/class-a/live").text


def test_the_page_of_an_essay_marks_its_misspellings_with_suggestions(served: Served) -> None:
    client = served.operator()
    register(client, expected=2)
    # One character that UTF-16 and UTF-8 count as several comes before the word.
    text = "\U0001f600 <b>This</b> essay is about teh sea & the ships."
    hand_in(client, {"a.txt": text.encode(), "b.txt": GOOD})
    served.shop.process_pending()
    answer = client.get("/batches/class-a/essays/e001", headers=HTML).text
    assert re.search(r"about <span class=\"flag\"><mark [^>]*>teh</mark>", answer)
    page = shown(client, "/batches/class-a/essays/e001")
    (mark,) = page.all("mark")
    assert mark["tabindex"] == "0"
    assert any(it.get("id") == mark["aria-describedby"] for it in page.all("span"))
    assert "<b>This</b> essay is about teh" in page.text
    assert not page.all("b")
    assert "/batches/class-a/essays/e002" in {it.get("href") for it in page.all("a")}


class OtherReader(DirectExtractor):
    """Reads more out of every file than there is."""

    version = "other"

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """See `Extractor.extract`."""
        return replace(super().extract(data, suffix), text="Title. This is about teh sea.")


def test_a_text_that_was_read_again_is_shown_before_its_spelling_is_checked(
    served: Served,
) -> None:
    client = served.operator()
    a_class(served, client)
    shop = served.shop
    again = shop.pipeline_with(extractor=OtherReader())
    shop.process(pipeline=again, stages=frozenset({Stage.EXTRACTED_PLAINTEXT}))
    page = shown(client, "/batches/class-a/essays/e001")
    assert "Title. This is about teh sea." in page.text
    assert "the spelling of this text is not checked yet" in page.text
    assert not page.all("mark")
    shop.process(pipeline=again)
    page = shown(client, "/batches/class-a/essays/e001")
    assert "not checked yet" not in page.text
    assert len(page.all("mark")) == 1


def test_a_rejected_essay_tells_why_and_what_to_do(served: Served) -> None:
    client = served.operator()
    a_class(served, client)
    page = shown(client, "/batches/class-a/essays/e002")
    assert "EMPTY_CONTENT" in page.text
    assert "hand in the one with the essay" in page.text
    assert not page.all("mark")


def test_names_that_mean_harm_are_shown_and_do_nothing(served: Served) -> None:
    client = served.operator()
    register(client)
    bad = [b"../../etc/passwd", b"a\x00.txt", b"x" * 4_000]
    kept = [
        "<script>alert(1)</script>.txt",
        "\u202egnp.exe",
        'say "hi" \' onmouseover=x.txt',
        "</li><img src=x onerror=alert(1)>.txt",
        "y" * 1_000 + ".txt",
        "{{ 7 * 7 }}.txt",
    ]
    sent = [it.replace("\\", "\\\\").replace('"', '\\"').encode() for it in kept]
    body = form(field("batch_id", "class-a"), *(file(name, GOOD) for name in bad + sent))
    answer = client.post(URL, content=body, headers=KIND)
    assert [it["status"] for it in answer.json()["files"]] == ["refused"] * 3 + ["new_essay"] * 6
    served.shop.process_pending()
    paths = ["/batches/class-a", *(f"/batches/class-a/essays/e00{it}" for it in range(1, 7))]
    pages = {path: shown(client, path) for path in paths}
    whole = pages["/batches/class-a"]
    assert "\u202e" not in client.get("/batches/class-a", headers=HTML).text
    assert "[U+202E]gnp.exe" in whole.text
    assert "<script>alert(1)</script>.txt" in whole.text
    assert "{{ 7 * 7 }}.txt" in whole.text
    assert kept[4] in whole.text
    assert all(page.all("img") == whole.all("img") for page in pages.values())
    assert len(whole.all("img")) == 1


def test_a_batch_of_another_is_a_page_that_says_there_is_none(served: Served) -> None:
    a_class(served, served.teacher("owner"))
    foreign = served.teacher("stranger")
    for path in PAGES[1:]:
        page = shown(foreign, path, 404)
        assert "There is no such batch." in page.text
        assert "Correlation id" in page.text
    assert "class-a" not in shown(foreign, "/").text


def test_the_list_of_batches_has_the_latest_first_and_pages(served: Served) -> None:
    client = served.teacher()
    for number in range(PAGE_SIZE + 2):
        served.shop.clock.advance(1)
        register(client, name=f"class-{number:02d}")

    def listed(path: str) -> list[str]:
        links = [str(it.get("href")) for it in shown(client, path).all("a")]
        return [it.removeprefix("/batches/") for it in links if it.startswith("/batches/")]

    everything = [f"class-{number:02d}" for number in reversed(range(PAGE_SIZE + 2))]
    assert listed("/") == everything[:PAGE_SIZE]
    assert listed("/?page=2") == everything[PAGE_SIZE:]
    assert listed("/?page=3") == []


@pytest.mark.parametrize("scope", list(Scope))
def test_a_page_offers_only_what_the_token_may_do(served: Served, scope: Scope) -> None:
    a_class(served, served.operator())
    client = served.client(served.token("narrow", scope))
    assert not any("data-new-batch" in it for it in shown(client, "/").all("form"))
    if scope is Scope.READ:
        shown(client, "/batches/class-a", 404)
    else:
        shown(client, "/batches/class-a", 403)


def test_the_buttons_of_a_batch_close_and_waive_and_lead_back(served: Served) -> None:
    client = served.operator()
    register(client, expected=2)
    hand_in(client, {"a.txt": GOOD})
    served.shop.process_pending()
    actions = {
        it["action"] for it in shown(client, "/batches/class-a").all("form") if "action" in it
    }
    assert "/batches/class-a/close" in actions
    answer = client.post("/batches/class-a/close", data={"csrf_token": ""}, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/class-a#standing")
    page = shown(client, "/batches/class-a")
    actions = {it["action"] for it in page.all("form") if "action" in it}
    assert "/batches/class-a/close" not in actions
    assert "/batches/class-a/essays/e002/waive" in actions
    url = "/batches/class-a/essays/e002/waive"
    refused = client.post(url, data={"reason": " "}, headers=HTML)
    assert refused.status_code == 422
    assert "text/html" in refused.headers["content-type"]
    answer = client.post(url, data={"reason": "ill <b>on</b> the day"}, headers=HTML)
    assert answer.status_code == 303
    assert "ill <b>on</b> the day" in shown(client, "/batches/class-a").text
    assert served.shop.view().waived == 1


def test_an_operator_gets_late_files_in_by_reopening_and_anybody_can_download_them(
    served: Served,
) -> None:
    client = served.teacher()
    a_class(served, client)
    page = shown(client, "/batches/class-a")
    (raw,) = [str(it["href"]) for it in page.all("a") if "/uploads/" in str(it.get("href"))]
    assert client.get(raw).content == GOOD
    url = "/batches/class-a/reopen"
    assert url not in {it.get("action") for it in page.all("form")}
    assert client.post(url, headers=HTML).status_code == 403

    operator = served.operator()
    assert url in {it.get("action") for it in shown(operator, "/batches/class-a").all("form")}
    answer = operator.post(url, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/class-a#standing")
    assert [it.upload.path for it in served.shop.facts().essays][-1] == "late.txt"
    page = shown(operator, "/batches/class-a")
    assert not any("/uploads/" in str(it.get("href")) for it in page.all("a"))


def test_a_dead_letter_is_replayed_from_the_page_of_its_batch_alone(served: Served) -> None:
    client = served.operator()
    register(client, expected=1)
    hand_in(client, {"a.txt": GOOD})
    served.shop.fail_until_dead()
    page = shown(client, "/batches/class-a")
    assert "INFRASTRUCTURE_FAILURE" in page.text
    assert "/batches/class-a/dead-letters/1/replay" in {it.get("action") for it in page.all("form")}
    register(client, name="class-b")
    assert client.post("/batches/class-b/dead-letters/1/replay", headers=HTML).status_code == 404
    answer = client.post("/batches/class-a/dead-letters/1/replay", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/class-a#e001")
    assert served.shop.view().dead_lettered == 0


def test_an_essay_is_processed_again_from_its_page(served: Served) -> None:
    client = served.teacher()
    a_class(served, client)
    url = "/batches/class-a/essays/e001/reprocess"
    assert url in {
        it.get("action") for it in shown(client, "/batches/class-a/essays/e001").all("form")
    }
    answer = client.post(url, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/class-a#e001")
    assert "1 essay processed again" in shown(client, "/batches/class-a/live").text
    missing = client.post("/batches/class-a/essays/e003/reprocess", headers=HTML)
    assert missing.status_code == 404


def test_operators_alone_are_led_to_dagster_and_only_if_its_address_is_known(
    served: Served,
) -> None:
    operator, teacher = served.operator(), served.teacher()
    a_class(served, teacher)
    pages = ("/batches/class-a", "/batches/class-a/essays/e001")
    assert not any("spellcheck_result" in str(it) for page in pages for it in links(operator, page))
    services = served.app.state.services
    settings = services.settings.model_copy(update={"dagster_url": "https://dagster.example/"})
    served.app.state.services = replace(services, settings=settings)
    batch, essay = (links(operator, page) for page in pages)
    assert any(it.startswith("https://dagster.example/assets/spellcheck_result?") for it in batch)
    cell = "https://dagster.example/assets/raw_upload?view=partitions&partition=class-a%7Ce001"
    assert cell in essay
    assert not any("dagster.example" in it for page in pages for it in links(teacher, page))


def links(client: httpx.Client, path: str) -> set[str]:
    """Where the links of a page lead."""
    page = Elements(client.get(path, headers=HTML).text)
    return {str(it.get("href")) for it in page.all("a")}


def test_a_result_that_cannot_be_read_is_a_page_that_says_so(served: Served) -> None:
    client = served.operator()
    a_class(served, client)
    for path in (served.shop.folder / "blobs" / "corrected_text").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"other")
    page = shown(client, "/batches/class-a/essays/e001", 500)
    assert "A stored result is missing or damaged." in page.text
