"""What a user sees when something goes wrong: one message, and an exit code that scripts can read.

0 done, 1 failed, 2 the command was misused, 130 stopped, with Ctrl-C or as asked otherwise.
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
    """Whether tracebacks are wanted."""

    on: bool = False


def run_guarded(command: click.Command, arguments: Sequence[str]) -> int:
    """Runs a command; what it raises becomes a message and an exit code.

    A fault of our own, which no error of the tree foresees, keeps its traceback.
    """
    from mirror.errors import MirrorError, StoppedError

    debugging = Debugging()
    try:
        code = command.main(
            list(arguments), prog_name="mirror", standalone_mode=False, obj=debugging
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except (KeyboardInterrupt, click.Abort, StoppedError):
        echo("stopped; what is whole is kept, and the same command goes on from there")
        return STOPPED
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain of it once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (MirrorError, OSError) as fault:
        return _report(fault, debugging)


def _report(fault: Exception, debugging: Debugging) -> int:
    from mirror.errors import InputError
    from mirror.secrets import without_secrets

    if debugging.on:
        # What others raised, and ours came from, may quote an address whole.
        echo(without_secrets("".join(traceback.format_exception(fault))))
    echo(without_secrets(f"error: {fault}"))
    # What the user gave is told whole by the message; a traceback would add nothing.
    if not (debugging.on or fault.__cause__ is None or isinstance(fault, InputError)):
        echo("(add --debug for the traceback)")
    return FAILED


def echo(text: str) -> None:
    """Prints a line to standard error, whatever its encoding can hold."""
    encoding = sys.stderr.encoding or "utf-8"
    # Messages quote what users wrote, and that can be anything, terminal codes included.
    shown = "".join(mark if mark.isprintable() or mark == "\n" else UNPRINTABLE for mark in text)
    click.echo(shown.encode(encoding, "replace").decode(encoding), err=True)
