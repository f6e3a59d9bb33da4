"""``python -m fastquery``."""

import sys

from fastquery.cli import main

if __name__ == "__main__":
    sys.exit(main())
