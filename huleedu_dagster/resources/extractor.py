"""The extractor as a Dagster resource."""

from dataclasses import fields
from functools import cache

from dagster import ConfigurableResource

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extractor
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.settings import Settings

_FILE = ExtractionLimits()
_SANDBOX = SandboxLimits()


class ExtractorResource(ConfigurableResource[Extractor]):
    """Gives the extractor; each field limits it, as the setting `HULEEDU_EXTRACTION_…` says."""

    workers: int = _SANDBOX.workers
    recycle_tasks: int = _SANDBOX.recycle_tasks
    memory_bytes: int = _SANDBOX.memory_bytes
    cpu_seconds: int = _SANDBOX.cpu_seconds
    wall_seconds: float = _SANDBOX.wall_seconds
    open_files: int = _SANDBOX.open_files
    max_input_bytes: int = _FILE.max_input_bytes
    max_zip_members: int = _FILE.max_zip_members
    max_part_bytes: int = _FILE.max_part_bytes
    max_total_bytes: int = _FILE.max_total_bytes
    max_part_ratio: int = _FILE.max_part_ratio
    max_pdf_pages: int = _FILE.max_pdf_pages
    max_markup_tags: int = _FILE.max_markup_tags
    max_markup_depth: int = _FILE.max_markup_depth
    max_tag_attributes: int = _FILE.max_tag_attributes
    max_markdown_steps: int = _FILE.max_markdown_steps
    max_rtf_tokens: int = _FILE.max_rtf_tokens
    max_output_chars: int = _FILE.max_output_chars

    @classmethod
    def of(cls, settings: Settings) -> "ExtractorResource":
        """The resource with the limits of an installation."""
        return cls(**{name: getattr(settings, f"extraction_{name}") for name in cls.model_fields})

    def open(self) -> Extractor:
        """The extractor, one for all runs of a process; its workers start with the first file."""
        return _open(
            ExtractionLimits(**self._fields_of(ExtractionLimits)),
            SandboxLimits(**self._fields_of(SandboxLimits)),
        )

    def _fields_of(self, kind: type[ExtractionLimits] | type[SandboxLimits]) -> dict[str, int]:
        names = {it.name for it in fields(kind)} & set(type(self).model_fields)
        return {name: getattr(self, name) for name in names}


@cache
def _open(limits: ExtractionLimits, sandbox: SandboxLimits) -> Extractor:
    return SandboxedExtractor(limits, sandbox)
