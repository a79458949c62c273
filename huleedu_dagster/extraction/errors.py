"""The one exception readers use to say why a file has no text."""

from huleedu_dagster.domain.outcomes import Code


class ExtractionError(Exception):
    """A file cannot be read. Never leaves this package: the dispatcher turns it into a code.

    Attributes:
        code: Why there is no text.
        message: What was found, for an operator; holds nothing from the file.
    """

    def __init__(self, code: Code, message: str) -> None:
        """Keep code and message; both are passed on so that the error can be pickled."""
        super().__init__(code, message)
        self.code = code
        self.message = message
