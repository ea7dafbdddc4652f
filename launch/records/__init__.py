"""What is on disk: the store, run folders, batches, claims."""
