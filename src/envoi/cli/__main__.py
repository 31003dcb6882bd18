"""`python -m envoi.cli` is the `envoi` command."""

from envoi.cli.main import main

main()
