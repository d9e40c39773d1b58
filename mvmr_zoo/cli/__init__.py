"""The command line `mvmr-zoo`. Heavy modules are imported inside the commands, so `--help` is fast.

app         all commands together
index_add   index add
index       index status, reindex, tune, build, doctor, remove, prune
models      models, info, import, fetch, verify, bundle, unbundle
embed       embed, gather
options     options and helpers that several commands share

Every other module is named after its command. The first sentence of a command's docstring is its line in the list of
commands, which has room for about 60 characters.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the console script `mvmr-zoo`."""
    try:
        from mvmr_zoo.cli.app import app

        app()
    except KeyboardInterrupt:  # before a command has begun
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
