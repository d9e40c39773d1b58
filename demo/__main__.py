"""Entry point of `mvmr-demo` and `python -m demo`."""

import sys


def main() -> None:
    """Run the console script `mvmr-demo`."""
    try:
        from demo.cli import main as run

        run()
    except KeyboardInterrupt:  # before the command has begun
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
