"""`nst` and `python -m pipeline`: hear signals before anything is loaded that takes a while."""

import sys

from pipeline.interrupts import ending_in_words


def main() -> None:
    """Entry point: the command line."""
    with ending_in_words(sys.argv[1:]):
        from cli import main as run

        run()


if __name__ == "__main__":
    main()
