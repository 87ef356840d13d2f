"""``python -m optwise``: the command line without its installed script."""

import sys

from optwise.cli import main

if __name__ == "__main__":
    sys.exit(main())
