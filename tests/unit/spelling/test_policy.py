"""What is flagged, with a handful of words for a dictionary."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pytest

from huleedu_dagster.spelling.policy import (
    ALL_LAYERS,
    Flag,
    Layer,
    Parts,
    Rules,
    accepted_forms,
    flagged,
    names,
    parts,
)
from huleedu_dagster.spelling.tokens import tokenise

KNOWN = frozenset(
    {"the", "dog", "in", "is", "a", "and", "my", "friend", "lives", "homme", "i", "saw"}
)


def flags(text: str, *, accepted: tuple[str, ...] = (), language: str = "en") -> list[str]:
    return [flag.token.text for flag in flagged_in(text, accepted=accepted, language=language)]


def flagged_in(
    text: str,
    *,
    accepted: tuple[str, ...] = (),
    language: str = "en",
    listed: frozenset[str] = frozenset(),
    near: frozenset[str] = frozenset(),
    around: Mapping[str, frozenset[str]] = MappingProxyType({}),
    respelled: Mapping[str, Sequence[str]] = MappingProxyType({}),
    layers: frozenset[Layer] = ALL_LAYERS,
) -> list[Flag]:
    rules = Rules(
        language=language,
        accepted=accepted_forms(accepted),
        is_known=KNOWN.__contains__,
        near=lambda word: around.get(word) or {word} & near,
        accepts=listed.__contains__,
        one_variety=bool(respelled),
        respell=lambda word: respelled.get(word, ()),
        layers=layers,
    )
    return list(flagged(list(tokenise(text)), rules))


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


def originals(flags: list[Flag]) -> list[str]:
    return [flag.token.text for flag in flags]


def test_an_accept_list_is_asked_for_the_word_as_it_is_written() -> None:
    listed = frozenset({"Berlin", "colour"})
    assert originals(flagged_in("Berlin berlin a colour’s dog", listed=listed)) == ["berlin"]


def test_where_nouns_have_capitals_a_name_is_what_resembles_no_word() -> None:
    text = "a Freind and the Kowalczyk"
    near = frozenset({"freind"})
    assert originals(flagged_in(text, near=near)) == []
    assert originals(flagged_in(text, near=near, language="de")) == ["Freind"]


def test_what_is_a_letter_away_from_a_word_that_always_has_a_capital_is_no_name() -> None:
    near = {"saterday": frozenset({"saturday"}), "ludvig": frozenset({"ludwig"})}
    assert originals(flagged_in("I saw Ludvig. My Saterday", around=near)) == ["Saterday"]


def test_a_word_with_a_capital_may_be_a_name_unless_it_is_written_without_one_too() -> None:
    [jiahao, first, second] = flagged_in("Jiahao is a dog. Becouse. The becouse")
    assert [it.may_be_name for it in (jiahao, first, second)] == [True, False, False]


def test_a_name_behind_an_elided_article_is_a_name() -> None:
    assert flagged_in("Homme d'Artagnan. D'Artagnan", language="fr") == []


def test_the_possessive_is_cut_where_the_language_has_it() -> None:
    assert originals(flagged_in("the dog's friend")) == []
    assert originals(flagged_in("the dog's friend", language="de")) == ["dog's"]


@pytest.mark.parametrize("text", ["The dog:\n- Tomatos\n- Brocoli", "My friend\nTomatos is"])
def test_the_capital_of_a_new_line_says_nothing(text: str) -> None:
    assert "Tomatos" in originals(flagged_in(text))


def test_a_long_line_that_is_wrapped_hides_no_name() -> None:
    text = "The dog and the friend and the dog and the friend and the\nMalmö"
    assert flagged_in(text) == []


def test_a_known_word_of_the_other_variety_is_flagged_with_its_right_spelling() -> None:
    respelled = {"dog": ("dogue",)}
    [flag] = flagged_in("the Dog’s friend", respelled=respelled)
    assert (flag.token.text, flag.parts.core, flag.respellings) == ("Dog’s", "dog", ("dogue",))


def test_the_word_list_of_the_teacher_goes_before_the_variety() -> None:
    assert flagged_in("the dog", respelled={"dog": ("dogue",)}, accepted=("dog",)) == []


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Layer.NAMES, "I saw Malmö"),
        (Layer.POSSESSIVES, "the friend's dog"),
        (Layer.ACCEPT_LISTS, "a colour"),
    ],
)
def test_without_its_layer_a_right_word_is_flagged(layer: Layer, text: str) -> None:
    listed = frozenset({"colour"})
    assert flagged_in(text, listed=listed) == []
    assert len(flagged_in(text, listed=listed, layers=ALL_LAYERS - {layer})) == 1


def test_without_its_layer_a_variety_is_not_told_apart() -> None:
    respelled = {"dog": ("dogue",)}
    assert flagged_in("a dog", respelled=respelled, layers=ALL_LAYERS - {Layer.VARIETIES}) == []
