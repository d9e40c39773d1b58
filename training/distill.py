"""Distill a teacher into a small encoder: `python -m training.distill --config FILE [--resume]`.

Every option of the file is also an option of the command line, for example `--optim.epochs 10`;
`--print_config` prints all of them. The run writes `last.ckpt` at intervals. It ends with a checkpoint
folder that `mvmr_zoo.load` reads.
"""

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main("distill", __doc__))
