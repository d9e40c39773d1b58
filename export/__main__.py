"""Entry point of `mvmr-export` and `python -m export`."""

import sys


def main() -> None:
    """Run the console script `mvmr-export`."""
    try:
        from export.cli import main as run

        run()
    except KeyboardInterrupt:  # before the command has begun
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
