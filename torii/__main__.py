"""`python -m torii` is `torii`."""

from torii.cli import main

main()
