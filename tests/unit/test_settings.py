"""Settings that would do harm are refused, and no message shows a secret."""

import pytest
from pydantic import ValidationError

from huleedu_dagster.settings import Settings

NAMES = ("ledger_url", "dagster_database_url")
PASSWORD = "top/secret@school"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://huleedu:{PASSWORD}@db:5432/huleedu",
        "postgresql://huleedu:top@secret@db/huleedu",
        "postgresql://huleedu:top/secret@db/huleedu",
        "db:5432/huleedu",
        # Without its host, the password is what is taken for a port.
        "postgresql://huleedu:top-secret",
        "postgresql://huleedu:top-secret/huleedu",
        "postgresql://huleedu:top-secret?sslmode=require",
    ],
)
def test_a_database_url_that_would_show_a_part_of_its_password_is_refused(
    name: str, url: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: url})
    assert "%40" in str(refused.value)
    assert "top" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////srv/ida@school.example/ledger.db",
        "postgresql://huleedu:top%2Fsecret%40school:x@db.school.example:5432/huleedu",
        "postgresql+psycopg2://huleedu@db/huleedu?sslmode=require",
        "postgresql://postgres:@/huleedu?host=/var/run/postgresql",
        "postgresql://[::1]:5432/huleedu",
        "postgresql://huleedu:x#y?z@[::1]/huleedu",
        "postgresql://huleedu@?host=/var/run/postgresql",
        "postgresql:///huleedu",
        "sqlite://",
    ],
)
def test_urls_of_databases_are_taken_and_not_shown(name: str, url: str) -> None:
    settings = Settings.model_validate({name: url})
    assert getattr(settings, name) == url
    assert not url or url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@broker:6379/0",
        "redis://:top/secret@broker:6379/0",
        "redis://:top@secret@broker:6379/0",
        "redis://:top#secret@broker:6379/0",
        "rediss://huleedu:top?secret@broker:6379/0",
        "redis://huleedu:top-secret",
        "redis://huleedu:top-secret/0",
    ],
)
def test_a_broker_url_that_would_show_a_part_of_its_password_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"broker_url": url})
    assert "%40" in str(refused.value)
    assert "top" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://broker.school.example:6379/0",
        "redis://:top%2Fsecret%40school%23x:y@broker",
        "rediss://huleedu:secret@[::1]:6379/0?ssl_cert_reqs=required",
    ],
)
def test_urls_of_brokers_are_taken_and_not_shown(url: str) -> None:
    settings = Settings.model_validate({"broker_url": url})
    assert settings.broker_url == url
    assert not url or url not in repr(settings)


@pytest.mark.parametrize("name", ["intake_url", "dagster_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://teacher:top-secret@essays.example",
        "https://essays.example/?key=top-secret",
        "https://essays.example/#top-secret",
        "essays.example",
        "javascript:alert(1)",
    ],
)
def test_an_address_of_pages_that_no_link_can_be_made_from_is_refused(name: str, url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: url})
    assert "top-secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["intake_url", "dagster_url"])
@pytest.mark.parametrize("url", ["", "http://127.0.0.1:8000", "https://school.example/essays/"])
def test_an_address_of_pages_may_have_a_port_or_a_path(name: str, url: str) -> None:
    assert getattr(Settings.model_validate({name: url}), name) == url


@pytest.mark.parametrize(
    "name",
    [name for name, it in Settings.model_fields.items() if it.annotation in (int, float)],
)
@pytest.mark.parametrize("number", ["inf", "nan", "1e300", str(10**30)])
def test_a_number_that_no_clock_and_no_database_holds_is_refused(name: str, number: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: number})
    assert refused.value.errors()[0]["loc"] == (name,)
