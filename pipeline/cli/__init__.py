"""The command line: one file for each subcommand; what is shared begins with an underscore."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """The console script `pipeline`: this process's arguments, streams and signals; returns the exit code."""
    try:
        from pipeline.cli._process import leave, prepare_process

        prepare_process()
        from pipeline.cli._door import run

        code = run(sys.argv[1:], environ=dict(os.environ), out=sys.stdout, err=sys.stderr, program=sys.argv[0])
        return leave(code)
    except KeyboardInterrupt:
        # Ctrl-C while modules are still being imported.
        return 130
