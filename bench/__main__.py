"""`python -m bench`: the same as `mirror bench`."""

from __future__ import annotations

import sys

from flows.cli.errors import run_guarded
from flows.cli.main import mirror

if __name__ == "__main__":
    sys.exit(run_guarded(mirror, ["bench", *sys.argv[1:]]))
