"""Exceptions of this project.

MirrorError
├── InputError              an input from the user is wrong: never retried
│   ├── RecipeError         a recipe or its settings
│   ├── CorpusError         a source of text, or its text
│   ├── SampleError         too few strings, or none that fit
│   ├── TokenizerError      a tokenizer that lacks something the method needs
│   ├── BaseModelError      a base model that is missing, damaged or unfit
│   ├── BenchmarkError      a definition or a data file of a benchmark
│   └── StudyError          a study, or the bases and trials it was asked to run
├── TuningError             the loss is not a number, or the vectors have collapsed
├── StoppedError            stopped on request; finished stages and checkpoints are kept
├── StoreError              the workspace cannot be read or written
└── ServiceError            a server or network does not answer: may be retried

Each message names the fault, its place and the remedy, in that order.
"""

from __future__ import annotations


class MirrorError(Exception):
    """Base class of this project's exceptions, which users see without a traceback."""


class InputError(MirrorError):
    """An input from the user is wrong; a retry would fail again."""


class RecipeError(InputError):
    """A recipe, or a setting in it, cannot be used."""


class CorpusError(InputError):
    """A source of text is missing, unreadable or empty."""


class SampleError(InputError):
    """The corpus has fewer strings than the recipe needs."""


class TokenizerError(InputError):
    """A tokenizer lacks something that the method needs."""


class BaseModelError(InputError):
    """A base model is missing, damaged, or of a kind that cannot be tuned."""


class BenchmarkError(InputError):
    """A benchmark's definition or data is missing, damaged or inconsistent."""


class StudyError(InputError):
    """A study's file is wrong, or the study cannot run on the requested bases."""


class TuningError(MirrorError):
    """Tuning failed: the loss is not a number, or the vectors have collapsed."""


class StoppedError(MirrorError):
    """A computation was stopped on request."""


class StoreError(MirrorError):
    """The workspace cannot be read or written."""


class ServiceError(MirrorError):
    """A server or network does not answer; it may answer later."""
