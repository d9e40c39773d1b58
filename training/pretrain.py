"""Train an encoder without labels: `python -m training.pretrain --config FILE [--resume]`.

Every option of the file is also an option of the command line, for example `--optim.epochs 10`;
`--print_config` prints all of them. The run writes `last.ckpt` at intervals. It ends with a checkpoint
folder that `mvmr_zoo.load` reads.
"""

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main("pretrain", __doc__))
