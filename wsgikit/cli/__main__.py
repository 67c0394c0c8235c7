"""``python -m wsgikit.cli`` is ``wsgikit``."""

from wsgikit.cli import main

main(prog_name="wsgikit")
