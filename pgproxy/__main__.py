"""``python -m pgproxy``."""

from pgproxy.cli import main

main()
