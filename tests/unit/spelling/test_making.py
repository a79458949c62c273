"""Dictionaries made from hunspell's and from texts, against hunspell itself."""

import gzip
import json
from pathlib import Path

import pytest

from huleedu_dagster.spelling.accept_lists import HunspellList
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.making import (
    FLOOR,
    UnusableSourceError,
    counts_of,
    forms_of,
    installed_hunspell,
    make_dictionary,
)

RULES = """SET UTF-8
FORBIDDENWORD !
NEEDAFFIX ?
ONLYINCOMPOUND Z
COMPOUNDFLAG C
PFX U Y 1
PFX U 0 o [^aeiouyåäö]
PFX V N 1
PFX V 0 ur .
SFX A Y 2
SFX A a or a
SFX A 0 ar [^a]
SFX B Y 1
SFX B 0 en/G [^a-]
SFX G N 1
SFX G 0 s .
SFX Q N 1
SFX Q 0 het/? .
"""


def hunspell(folder: Path, *entries: str, rules: str = RULES, encoding: str = "utf-8") -> Path:
    """A hunspell dictionary with these entries."""
    folder.mkdir(exist_ok=True)
    path = folder / "mini.dic"
    path.with_suffix(".aff").write_text(rules, encoding=encoding)
    path.write_text("\n".join([str(len(entries)), *entries, ""]), encoding=encoding)
    return path


def made_of(folder: Path, *entries: str, rules: str = RULES, encoding: str = "utf-8") -> set[str]:
    """The words of the dictionary that is made of these entries."""
    source = hunspell(folder, *entries, rules=rules, encoding=encoding)
    return set(words_of(make_dictionary("sv", source, folder / "out").path))


def words_of(path: Path) -> dict[str, int]:
    return Dictionary.own("sv", path).counts()


def test_suffixes_are_put_on_stems_by_their_conditions(tmp_path: Path) -> None:
    assert made_of(tmp_path, "flicka/A", "bil/A") == {"flicka", "flickor", "bil", "bilar"}


def test_a_suffix_is_put_on_a_suffix(tmp_path: Path) -> None:
    assert made_of(tmp_path, "bil/B") == {"bil", "bilen", "bilens"}


def test_prefixes_are_put_on_stems_and_on_forms_that_allow_it(tmp_path: Path) -> None:
    expected = {"lycka", "lyckor", "olycka", "olyckor"}
    assert made_of(tmp_path, "lycka/AU") == expected
    assert made_of(tmp_path, "bil/AV") == {"bil", "bilar", "urbil"}


def test_a_condition_on_a_prefix_looks_at_the_start_of_the_word_only(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "artig/U")
    assert [word for word, _ in forms_of(source)] == ["artig"]


def test_what_may_not_stand_alone_is_left_out(tmp_path: Path) -> None:
    entries = ("forbjuden/!A", "flick/ZA", "stam/?A", "ful/Q")
    assert made_of(tmp_path, *entries) == {"stamar", "ful"}


def test_a_form_that_hunspell_refuses_is_dropped(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "bil/A", "bilar/!")
    assert "bilar" in {word for word, _ in forms_of(source)}
    assert set(words_of(make_dictionary("sv", source, tmp_path / "out").path)) == {"bil"}


def test_only_what_a_text_can_hold_as_one_word_is_a_word(tmp_path: Path) -> None:
    entries = ("TV", "e-post", "t.ex.", "i dag", "km\\/h", "21:a", "Anna", "rock'n'roll")
    assert made_of(tmp_path, *entries) == {"anna", "rock'n'roll"}


def test_notes_on_grammar_are_no_part_of_a_word(tmp_path: Path) -> None:
    assert made_of(tmp_path, "bil/A\tpo:noun", "snabb po:adj") == {"bil", "bilar", "snabb"}


@pytest.mark.parametrize(
    ("kind", "flag", "other"), [("long", "Aa", "Bb"), ("num", "101", "7"), ("UTF-8", "Å", "¤")]
)
def test_flags_are_read_in_every_way_to_write_them(
    tmp_path: Path, kind: str, flag: str, other: str
) -> None:
    rules = f"SET UTF-8\nFLAG {kind}\nNEEDAFFIX {other}\nSFX {flag} Y 1\nSFX {flag} 0 ar .\n"
    both = f"{flag},{other}" if kind == "num" else flag + other
    assert made_of(tmp_path, f"bil/{flag}", f"gat/{both}", rules=rules) == {"bil", "bilar", "gatar"}


def test_flags_may_be_named_by_number(tmp_path: Path) -> None:
    rules = "SET UTF-8\nAF 2\nAF X\nAF A\nSFX A Y 1\nSFX A 0 ar .\n"
    assert made_of(tmp_path, "bil/2", "hus/1", rules=rules) == {"bil", "bilar", "hus"}


def test_the_encoding_of_the_dictionary_is_followed(tmp_path: Path) -> None:
    rules = "SET ISO8859-1\nSFX A Y 1\nSFX A 0 ö [å]\n"
    assert made_of(tmp_path, "blå/A", rules=rules, encoding="latin-1") == {"blå", "blåö"}


def test_an_encoding_that_nobody_knows_is_named(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "bil", rules="SET KLINGON-1\n")
    with pytest.raises(UnusableSourceError, match="KLINGON-1"):
        list(forms_of(source))


def test_words_of_texts_count_where_hunspell_accepts_them(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "bil/AC", "hus/C", "sten")
    text = tmp_path / "text.txt"
    text.write_text("Bilar, bilar! Ett bilhus. Bilarr finns ej.", encoding="utf-8")
    made = make_dictionary("sv", source, tmp_path / "out", texts=[text])
    assert words_of(made.path) == {
        "bil": FLOOR,
        "bilar": FLOOR + 2,
        "bilhus": FLOOR + 1,
        "hus": FLOOR,
        "sten": FLOOR,
    }
    # "Ett", "Bilarr", "finns", "ej".
    assert (made.words, made.counted, made.refused) == (5, 2, 4)


def test_a_list_of_words_with_counts_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text("bil 12\nhus\t3\n\ne-post 9\nhus 4\n", encoding="utf-8")
    assert counts_of(path) == {"bil": 12, "hus": 7}
    path.write_text("bil 12\nhär är huset 3\n", encoding="utf-8")
    assert counts_of(path) == {"bil": 1, "här": 1, "är": 1, "huset": 1}


def test_a_text_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("sjö".encode("latin-1"))
    with pytest.raises(UnusableSourceError, match="is not text in UTF-8"):
        counts_of(path)


def test_the_limit_keeps_counted_words_then_stems_then_short_forms(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "bil/AB", "släde")
    text = tmp_path / "text.txt"
    text.write_text("bilens", encoding="utf-8")
    made = make_dictionary("sv", source, tmp_path / "out", texts=[text], limit=4)
    assert set(words_of(made.path)) == {"bilens", "bil", "släde", "bilar"}
    assert made.beyond_limit == 1


def test_only_counted_words_are_taken_when_asked(tmp_path: Path) -> None:
    source = hunspell(tmp_path, "bil/A", "hus")
    text = tmp_path / "text.txt"
    text.write_text("Bilar och hus", encoding="utf-8")
    made = make_dictionary("sv", source, tmp_path / "out", texts=[text], only_counted=True)
    assert set(words_of(made.path)) == {"bilar", "hus"}


def test_equal_sources_make_equal_bytes(tmp_path: Path) -> None:
    first = make_dictionary("sv", hunspell(tmp_path / "a", "bil/A", "hus"), tmp_path / "a")
    second = make_dictionary("sv", hunspell(tmp_path / "b", "hus", "bil/A"), tmp_path / "b")
    assert first.path.read_bytes() == second.path.read_bytes()
    words = list(json.loads(gzip.decompress(first.path.read_bytes())))
    assert words == sorted(words)
    assert sorted(it.name for it in (tmp_path / "a").iterdir()) == [
        "mini.aff",
        "mini.dic",
        "sv.json.gz",
    ]


@pytest.mark.parametrize("name", ["sv_SE", "en_GB", "is", "da_DK"])
@pytest.mark.slow
def test_hunspell_accepts_nearly_all_that_the_rules_make(name: str) -> None:
    forms = sorted({word for word, _ in forms_of(installed_hunspell()[name])})[::50]
    accepted = HunspellList([name])
    assert len(forms) > 3_000
    assert sum(map(accepted.accepts, forms)) > 0.99 * len(forms)
