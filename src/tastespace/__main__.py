"""`python -m tastespace`."""

from tastespace.cli import main

main()
