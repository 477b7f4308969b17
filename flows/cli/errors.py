"""Error messages and exit codes of the command line.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C or a signal.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

FAILED, STOPPED = 1, 130
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


@dataclass
class Debugging:
    """Whether `--debug` was given."""

    on: bool = False


def run_guarded(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; print expected errors as one message.

    Unexpected exceptions are bugs: they are raised, with their traceback.
    """
    from mirror.errors import MirrorError, StoppedError

    debugging = Debugging()
    try:
        code = command.main(
            list(arguments), prog_name="mirror", standalone_mode=False, obj=debugging
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, StoppedError):
        _print_error("stopped; finished work is kept: run the same command again to continue")
        return STOPPED
    except BrokenPipeError:
        # The reader of a pipe has closed it; Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (MirrorError, OSError) as error:
        return _report(error, debugging)


def _report(error: Exception, debugging: Debugging) -> int:
    from mirror.errors import InputError
    from mirror.secrets import without_secrets

    if debugging.on:
        # Exceptions of libraries may quote a URL with its password.
        _print_error(without_secrets("".join(traceback.format_exception(error))))
    _print_error(without_secrets(f"error: {error}"))
    # For a faulty input, the message says everything.
    if not (debugging.on or error.__cause__ is None or isinstance(error, InputError)):
        _print_error("(add --debug for the traceback)")
    return FAILED


def _print_error(text: str) -> None:
    """Print to standard error; characters that its encoding lacks are replaced."""
    encoding = sys.stderr.encoding or "utf-8"
    click.echo(printable(text).encode(encoding, "replace").decode(encoding), err=True)


def printable(text: str) -> str:
    """Replace unprintable characters: quoted input may contain terminal escape codes."""
    return "".join(mark if mark.isprintable() or mark == "\n" else UNPRINTABLE for mark in text)
