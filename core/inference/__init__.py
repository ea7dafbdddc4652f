"""From a checkpoint and videos to results."""
