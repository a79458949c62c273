"""Style sheets and scripts of the pages."""

import gc
import weakref

import pytest

from huleedu_dagster.intake.pages.rendering import static_file, static_url


class Name(str):
    """A name that can be watched."""


def test_a_name_that_there_is_none_of_leaves_nothing_behind() -> None:
    name = Name("nobody.css")
    watched = weakref.ref(name)
    assert static_file(name) is None
    del name
    gc.collect()
    assert watched() is None


def test_a_file_is_found_by_its_name_alone() -> None:
    for name in ("", ".", "..", "nobody.css", "../words.py", "__init__.py"):
        assert static_file(name) is None
        with pytest.raises(LookupError):
            static_url(name)
