"""``python -m respectra``: the same as the command ``respectra``."""

from respectra.cli import main

main()
