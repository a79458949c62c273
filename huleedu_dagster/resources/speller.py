"""The speller as a Dagster resource."""

from pathlib import Path

from dagster import ConfigurableResource
from pydantic import Field

from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.engines import Engine, IndexEngine, ReferenceEngine
from huleedu_dagster.spelling.index import Progress
from huleedu_dagster.spelling.port import Speller
from huleedu_dagster.spelling.rankers import Ranker
from huleedu_dagster.spelling.speller import DictionarySpeller


class SpellerResource(ConfigurableResource[Speller]):
    """Gives spellers: what is a misspelling, and what is suggested in its place."""

    engine: str = Field(description="`index` or `reference`.")
    ranker: str = Field(default="count", description="`count` or `channel`.")
    cache_folder: str = Field(description="Where the indexes of dictionaries are kept.")
    dictionaries: str = Field(
        default="", description="Folder with dictionaries of one's own, or empty."
    )
    word_list: str = Field(
        default="", description="File with words that are right in every batch, or empty."
    )

    @classmethod
    def of(cls, settings: Settings) -> "SpellerResource":
        """The resource of an installation."""
        return cls(
            engine=settings.spelling_engine,
            ranker=settings.spelling_ranker,
            cache_folder=str(settings.spelling_cache),
            dictionaries=str(settings.dictionaries or ""),
            word_list=str(settings.word_list or ""),
        )

    def open(self) -> Speller:
        """A speller that remembers nothing yet: each run has its own.

        Raises:
            OSError: The word list or the folder of dictionaries cannot be read.
        """
        return DictionarySpeller(
            self._engine(), ranker=self._ranker(), accepted_words=self._words()
        )

    def prepare(self, language: str, progress: Progress) -> None:
        """Make sure that a run finds the dictionary of a language and the word list ready.

        Args:
            language: ISO 639-1 code.
            progress: Told when it takes seconds.

        Raises:
            DictionaryError: There is no dictionary for `language`, or it is damaged.
            IndexUnavailableError: There is no whole index and it cannot be built.
            OSError: The dictionary or the word list cannot be read.
        """
        self._words()
        self._engine().open(language, progress)

    def _engine(self) -> Engine:
        own = Path(self.dictionaries) if self.dictionaries else None
        if self.engine == "reference":
            return ReferenceEngine(own)
        return IndexEngine(Path(self.cache_folder), own)

    def _ranker(self) -> Ranker | None:
        if self.ranker != "channel":
            return None
        from huleedu_dagster.spelling.channel import ChannelRanker

        return ChannelRanker()

    def _words(self) -> list[str]:
        if not self.word_list:
            return []
        try:
            return Path(self.word_list).read_text(encoding="utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise OSError("the word list of HULEEDU_WORD_LIST is not text in UTF-8") from error
