"""What can go wrong, as a tree.

MirrorError
├── InputError              something the user gave is wrong: never retried
│   ├── RecipeError         a recipe, or the settings in it
│   ├── CorpusError         a source of text, or the text in it
│   ├── SampleError         too few strings, or none that fit
│   ├── TokenizerError      a tokenizer without what the method needs
│   ├── BaseModelError      a base model that is missing, damaged or unfit
│   ├── BenchmarkError      a definition or a data file of a benchmark
│   └── StudyError          a study, or what it was asked to run on
├── TuningError             the loss is not a number, or the vectors have collapsed
├── StoppedError            someone asked for an end; what is whole is kept
├── StoreError              the workspace cannot be read or written
└── ServiceError            a server or a network that may answer later: may be retried

Every message says what, where and the remedy, in that order.
"""

from __future__ import annotations


class MirrorError(Exception):
    """Anything this project raises on purpose; shown to users without a traceback."""


class InputError(MirrorError):
    """Something the user gave is wrong, and will be wrong again on a retry."""


class RecipeError(InputError):
    """A recipe, or a setting in it, cannot be used."""


class CorpusError(InputError):
    """A source of text is missing, unreadable or empty."""


class SampleError(InputError):
    """The corpus does not hold the strings that the recipe asks for."""


class TokenizerError(InputError):
    """A tokenizer lacks something that the method needs."""


class BaseModelError(InputError):
    """A base model is missing, damaged, or of a kind that cannot be tuned."""


class BenchmarkError(InputError):
    """A benchmark's definition or data is missing, damaged or inconsistent."""


class StudyError(InputError):
    """A study's file is wrong, or it cannot be run on what was asked for."""


class TuningError(MirrorError):
    """Tuning went wrong: the loss is not a number, or the vectors have collapsed."""


class StoppedError(MirrorError):
    """Someone asked a computation to end before it was done."""


class StoreError(MirrorError):
    """The workspace cannot be read or written."""


class ServiceError(MirrorError):
    """A server or a network did not answer; it may later."""
