"""What Dagster's pages show of errors, although they hide the messages of all that is raised."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterError

from huleedu_dagster.storage.port import StoreServerError


class StoreUnusableError(DagsterError):
    """A store's server cannot be used; says why, and what to do."""


@contextmanager
def store_errors_told() -> Iterator[None]:
    """Let Dagster's pages say what is wrong with a store's server.

    Dagster hides the messages of user code, and not those of its own kind of error.

    Raises:
        StoreUnusableError: In place of a `StoreServerError`, with the same sentence.
    """
    try:
        yield
    except StoreServerError as error:
        raise StoreUnusableError(error.strerror) from error
