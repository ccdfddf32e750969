"""``python -m captp`` is the captp command."""

from __future__ import annotations

import sys

from captp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
