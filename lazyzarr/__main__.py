"""``python -m lazyzarr``: the command line."""

from lazyzarr.cli import main

main()
