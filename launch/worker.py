"""What scripts name that were submitted before the worker and its task lay in ``launch.node``."""

import sys

from launch.node import task
from launch.node.worker import main

sys.modules["launch.task"] = task  # in pickles of that time

if __name__ == "__main__":
    main(sys.argv[1:])
