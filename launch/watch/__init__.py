"""What has become of every cell."""
