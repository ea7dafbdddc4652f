"""What changes training clips beyond the published resizing and flip; all of it off by default."""
