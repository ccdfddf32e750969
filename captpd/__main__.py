"""``python -m captpd`` is the captpd command."""

from __future__ import annotations

from captpd.cli.main import main

if __name__ == "__main__":
    main()
