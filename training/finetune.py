"""Fine-tune a whole encoder on few labels: `python -m training.finetune --config FILE [--resume]`.

Every option of the file is also an option of the command line, for example `--share 0.01`; `--print_config`
prints all of them. The training images are listed in a file that is written once and reused. The resulting
checkpoint folder also contains the classifier.
"""

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main("finetune", __doc__))
