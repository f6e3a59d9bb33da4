"""``python -m fastquery``."""

import sys

try:
    from fastquery.cli import main
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
