"""The grammar of ids, blob keys and paths."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huleedu_dagster.domain.ids import (
    BATCH_LEVEL,
    ContentType,
    InvalidIdError,
    check_batch_id,
    check_slot,
    derived_blob_key,
    essay_path,
    is_batch_id,
    is_ignored_path,
    new_upload_id,
    raw_blob_key,
    slot_id,
    slot_number,
    suffix_of,
)

PATHS = st.lists(
    st.sampled_from(["/", "\\", "..", ".", "C:", "a", "e\u0301", "\u0301", "\x00", " ", "~"])
    | st.text(max_size=5)
).map("".join)


@given(PATHS)
@example("./C:/essay.txt")
@example("../essay.txt")
@example("a/../../essay.txt")
@example("a\\..\\essay.txt")
@example("C:\\essay.txt")
@example("\\\\server\\share\\essay.txt")
def test_a_path_that_is_accepted_is_relative_composed_stable_and_never_climbs_out(
    text: str,
) -> None:
    try:
        path = essay_path(text)
    except InvalidIdError:
        return
    parts = path.split("/")
    assert path == unicodedata.normalize("NFC", path)
    assert not PurePosixPath(path).is_absolute()
    assert not {"", ".", ".."} & set(parts)
    assert "\\" not in path
    assert essay_path(path) == path


@pytest.mark.parametrize(
    "text",
    ["", ".", "/", "..", "a/..", "../a", "/etc/passwd", "C:/a", "c:\\a", "a\nb", "a\x00", "\ud800"],
)
def test_a_path_that_is_empty_absolute_climbing_or_holds_control_characters_is_refused(
    text: str,
) -> None:
    with pytest.raises(InvalidIdError):
        essay_path(text)


def test_a_path_has_one_form_on_every_system() -> None:
    assert essay_path("Ida\\Cafe\u0301.docx") == "Ida/Café.docx"
    assert essay_path("./Ida//essay.docx") == "Ida/essay.docx"
    assert essay_path("Ida/essay.docx") != essay_path("Leo/essay.docx")


def test_a_path_of_1024_characters_is_the_longest() -> None:
    assert essay_path("a" * 1024) == "a" * 1024
    with pytest.raises(InvalidIdError):
        essay_path("a" * 1025)


@pytest.mark.parametrize("text", ["a", "9", "class-7b", "a" * 63, "2026-11-22", "a--b"])
def test_a_batch_id_has_lower_case_letters_digits_and_inner_dashes(text: str) -> None:
    assert check_batch_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "å",
        "a_b",
        "a b",
        "a|b",
        "a/b",
        "a,b",
        "[a]",
        "a...b",
        "-a",
        "a-",
        "a" * 64,
        "a\n",
        "٣",
    ],
)
def test_anything_else_is_no_batch_id_and_is_not_repeated_in_the_message(text: str) -> None:
    assert not is_batch_id(text)
    with pytest.raises(InvalidIdError) as found:
        check_batch_id(text)
    assert "a batch id has" in str(found.value)


def test_slots_are_e001_to_e099_and_sort_as_they_are_numbered() -> None:
    slots = [slot_id(number) for number in range(1, 100)]
    assert (slots[0], slots[-1]) == ("e001", "e099")
    assert slots == sorted(slots)
    assert [slot_number(slot) for slot in slots] == list(range(1, 100))


@pytest.mark.parametrize("number", [-1, 0, 100])
def test_there_is_no_slot_outside_1_to_99(number: int) -> None:
    with pytest.raises(InvalidIdError):
        slot_id(number)


@pytest.mark.parametrize("text", ["", "e000", "e100", "e1", "E001", "e0011", "batch", "e001\n"])
def test_anything_else_is_no_slot(text: str) -> None:
    with pytest.raises(InvalidIdError):
        check_slot(text)


def test_a_raw_blob_is_keyed_by_batch_and_upload() -> None:
    upload = new_upload_id()
    assert raw_blob_key("class-a", upload) == f"raw_upload_blob/class-a/{upload}"
    assert new_upload_id() != upload


@pytest.mark.parametrize(
    ("batch_id", "upload_id"),
    [("A", "0" * 32), ("../x", "0" * 32), ("a", "0" * 31), ("a", "G" * 32), ("a", "../" * 8)],
)
def test_a_raw_blob_key_is_made_of_valid_ids_only(batch_id: str, upload_id: str) -> None:
    with pytest.raises(InvalidIdError):
        raw_blob_key(batch_id, upload_id)


@pytest.mark.parametrize("kind", list(ContentType))
def test_a_derived_blob_is_keyed_by_kind_batch_owner_and_hash(kind: ContentType) -> None:
    key = derived_blob_key(kind, "class-a", BATCH_LEVEL, "ab12")
    assert key == f"{kind.value}/class-a/batch/ab12"


@pytest.mark.parametrize("part", ["", "..", "a/b", "A", "a.b", "å"])
def test_a_derived_blob_key_cannot_leave_its_place(part: str) -> None:
    kind = ContentType.EXTRACTED_PLAINTEXT
    for parts in ((part, "e001", "ab"), ("class-a", part, "ab"), ("class-a", "e001", part)):
        with pytest.raises(InvalidIdError):
            derived_blob_key(kind, *parts)


def test_every_kind_of_blob_has_its_own_prefix() -> None:
    assert len({kind.value for kind in ContentType}) == len(ContentType)
    assert {"raw_upload_blob", "extracted_plaintext", "corrected_text"} <= set(ContentType)


@pytest.mark.parametrize(
    "path",
    [".DS_Store", "a/.hidden/b.txt", "~$essay.docx", "Thumbs.db", "__MACOSX/a.txt", "desktop.ini"],
)
def test_litter_of_operating_systems_is_no_essay(path: str) -> None:
    assert is_ignored_path(path)


def test_an_ordinary_file_is_no_litter() -> None:
    assert not is_ignored_path("Ida Wallin/essay~1.docx")


def test_a_suffix_is_lower_case_without_its_dot() -> None:
    assert suffix_of("a/Essay.DOCX") == "docx"
    assert suffix_of("a.b/essay") == ""
