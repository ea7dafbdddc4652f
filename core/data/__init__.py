"""Videos, annotations, clips."""
