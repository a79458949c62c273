"""What is flagged, with a handful of words for a dictionary."""

import pytest

from huleedu_dagster.spelling.policy import Parts, accepted_forms, flagged, names, parts
from huleedu_dagster.spelling.tokens import tokenise

KNOWN = frozenset(
    {"the", "dog", "in", "is", "a", "and", "my", "friend", "lives", "homme", "i", "saw"}
)


def flags(text: str, *, accepted: tuple[str, ...] = (), language: str = "en") -> list[str]:
    found = flagged(
        list(tokenise(text)),
        language=language,
        accepted=accepted_forms(accepted),
        is_known=KNOWN.__contains__,
    )
    return [token.text for token in found]


def test_an_unknown_word_is_flagged_each_time_in_order() -> None:
    assert flags("The freind and the dgo. Freind!") == ["freind", "dgo", "Freind"]


def test_a_name_is_a_word_capitalised_inside_a_sentence() -> None:
    assert flags("My friend Åsa lives in Växjö.") == []


def test_a_name_is_recognised_where_a_sentence_starts_too() -> None:
    assert flags("Växjö is a dog. I saw Växjö. Växjö's dog!") == []


def test_a_capital_at_the_start_alone_is_no_name() -> None:
    assert flags("Becouse. “Becouse!”") == ["Becouse", "Becouse"]


def test_a_name_in_lower_case_is_flagged() -> None:
    assert flags("I saw Malmö and malmö") == ["malmö"]


def test_the_stem_of_a_possessive_is_enough() -> None:
    assert flags("The friend's dog and the dog’s freind's") == ["freind's"]


@pytest.mark.parametrize("listed", ["fika", "Fika", "my fika-dog"])
def test_the_batch_accepts_words_of_its_own(listed: str) -> None:
    assert flags("a fika and fika's dgo", accepted=(listed,)) == ["dgo"]


def test_names_are_the_cores_of_the_words() -> None:
    assert names(list(tokenise("See Åsa's dog. Then")), "en") == frozenset({"åsa"})


@pytest.mark.parametrize(
    ("lookup", "language", "expected"),
    [
        ("l'homme", "fr", Parts("l'", "homme", "")),
        ("l'homme", "en", Parts("", "l'homme", "")),
        ("dog's", "en", Parts("", "dog", "'s")),
        ("don't", "en", Parts("", "don't", "")),
        ("'s", "en", Parts("", "'s", "")),
    ],
)
def test_words_are_taken_apart(lookup: str, language: str, expected: Parts) -> None:
    assert parts(lookup, language) == expected
    assert expected.prefix + expected.core + expected.suffix == lookup


def test_elided_articles_are_known_in_french_only() -> None:
    assert flags("l'homme", language="fr") == []
    assert flags("l'homme", language="en") == ["l'homme"]
