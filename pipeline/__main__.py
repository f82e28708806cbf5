"""`python -m pipeline` is `nst`."""

from cli import main

main()
