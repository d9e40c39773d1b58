"""`python -m mvmr_zoo.cli`."""

from mvmr_zoo.cli import main

main()
