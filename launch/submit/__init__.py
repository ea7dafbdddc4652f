"""From a grid to submitted jobs."""
