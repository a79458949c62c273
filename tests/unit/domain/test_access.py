"""Scopes, tokens and principals."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.domain.access import (
    MAX_NAME_LENGTH,
    InvalidTokenError,
    InvalidTokenNameError,
    MissingScopeError,
    Principal,
    Scope,
    hash_token,
    is_token,
    matches,
    new_token,
    new_token_id,
    token_name,
)


def test_a_token_is_a_prefix_and_32_random_bytes_that_fit_a_header_and_a_url() -> None:
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert {len(token) for token in tokens} == {47}
    assert all(token.startswith("hul_") and is_token(token) for token in tokens)
    assert len({new_token_id() for _ in range(200)}) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hul_",
        "x" * 47,
        "hul_" + "a" * 42,
        "hul_" + "a" * 44,
        "HUL_" + "a" * 43,
        "hul_" + "a" * 42 + "+",
        "hul_" + "a" * 43 + "\n",
        " hul_" + "a" * 43,
        "hul_" + "\u0661" * 43,
    ],
)
def test_what_is_not_of_the_form_is_no_token(text: str) -> None:
    assert not is_token(text)


def test_only_the_hash_tells_a_token() -> None:
    token = new_token()
    assert hash_token(token) == hashlib.sha256(token.encode()).hexdigest()
    assert matches(token, hash_token(token))
    assert not matches(token, token)
    assert not matches(new_token(), hash_token(token))
    assert not matches(token, hash_token(token)[:-1])
    assert not matches(token, hash_token(token)[:-1] + "x")


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_can_be_compared_and_matches_itself_alone(one: str, other: str) -> None:
    assert matches(one, hash_token(other)) == (one == other)


def test_a_text_of_half_characters_is_compared_like_any_other() -> None:
    assert not matches("\ud800", hash_token("a"))
    assert matches("\ud800", hash_token("\ud800"))
    assert not matches("a", "å")


def test_a_principal_may_do_what_its_scopes_say_and_nothing_else() -> None:
    principal = Principal("0" * 16, "class 7", frozenset({Scope.READ, Scope.UPLOAD}))
    assert [scope for scope in Scope if principal.may(scope)] == [Scope.UPLOAD, Scope.READ]
    principal.require(Scope.READ)
    with pytest.raises(MissingScopeError, match="scope operate") as caught:
        principal.require(Scope.OPERATE)
    assert caught.value.scope is Scope.OPERATE


def test_to_operate_does_not_include_the_other_scopes() -> None:
    operator = Principal("0" * 16, "operator", frozenset({Scope.OPERATE}))
    assert [scope for scope in Scope if operator.may(scope)] == [Scope.OPERATE]


def test_every_refused_token_gets_the_same_sentence() -> None:
    assert str(InvalidTokenError()) == "a valid API token is needed"


@pytest.mark.parametrize("name", ["Klass 7b", "x", "å" * MAX_NAME_LENGTH, "  around  "])
def test_a_name_is_kept_without_the_spaces_around_it(name: str) -> None:
    assert token_name(name) == name.strip()


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * (MAX_NAME_LENGTH + 1), "a\nb", "a\x00", "\u202ea"]
)
def test_a_name_that_cannot_be_shown_is_refused_without_being_repeated(name: str) -> None:
    with pytest.raises(InvalidTokenNameError, match="1 to 80 characters") as caught:
        token_name(name)
    assert not name or name not in str(caught.value)
