"""Signatures: what a receiver can rely on."""

from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.relay.signatures import sign, verify

SECRET = b"a secret of a school"
BODY = b'{"a":1}'
NOW = 1_700_000_000
# From `openssl dgst -sha256 -hmac`, over 1700000000.{"a":1}
SIGNATURE = "v1=790c235dc328a92a4197e216f3ca5cdb0fed8e458a39fec07981b99e6f64d77f"


def headers(**changed: str) -> dict[str, str]:
    found = {"x_huleedu_timestamp": str(NOW), "X_Huleedu_Signature": SIGNATURE, **changed}
    return {name.replace("_", "-"): value for name, value in found.items()}


def test_the_signature_is_the_one_another_program_makes() -> None:
    assert sign(SECRET, NOW, BODY) == SIGNATURE


def test_a_signed_request_is_accepted_for_five_minutes_either_way() -> None:
    assert verify(SECRET, headers(), BODY, NOW)
    assert verify(SECRET, headers(), BODY, NOW + 300)
    assert verify(SECRET, headers(), BODY, NOW - 300)
    assert not verify(SECRET, headers(), BODY, NOW + 301)
    assert not verify(SECRET, headers(), BODY, NOW - 301)
    assert verify(SECRET, headers(), BODY, NOW + 3000, tolerance=3000)


def test_a_changed_body_or_another_secret_is_refused() -> None:
    assert not verify(SECRET, headers(), BODY + b" ", NOW)
    assert not verify(b"a secret of another", headers(), BODY, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"x_huleedu_timestamp": str(NOW + 1)},
        {"x_huleedu_timestamp": ""},
        {"x_huleedu_timestamp": "now"},
        {"x_huleedu_timestamp": "-1"},
        {"x_huleedu_timestamp": "١٧٠٠٠٠٠٠٠٠"},
        {"x_huleedu_timestamp": "9" * 5000},
        {"X_Huleedu_Signature": ""},
        {"X_Huleedu_Signature": "v1=å"},
        {"X_Huleedu_Signature": SIGNATURE.removeprefix("v1=")},
        {"X_Huleedu_Signature": SIGNATURE.replace("v1", "v0")},
    ],
)
def test_a_changed_or_missing_header_is_refused(changed: dict[str, str]) -> None:
    assert not verify(SECRET, headers(**changed), BODY, NOW)


def test_a_request_without_headers_is_refused() -> None:
    assert not verify(SECRET, {}, BODY, NOW)


def test_the_documented_check_agrees() -> None:
    document = Path(__file__).parents[3] / "docs" / "events.md"
    code = document.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    genuine = names["is_genuine"]
    assert genuine(SECRET, str(NOW), SIGNATURE, BODY, NOW + 300)
    assert not genuine(SECRET, str(NOW), SIGNATURE, BODY, NOW + 301)
    assert not genuine(SECRET, str(NOW + 1), SIGNATURE, BODY, NOW)
    assert not genuine(SECRET, str(NOW), SIGNATURE, BODY + b" ", NOW)
    assert not genuine(SECRET, "now", SIGNATURE, BODY, NOW)
