"""``python -m cli``, the same as ``tevit``."""

from cli import main

main()
