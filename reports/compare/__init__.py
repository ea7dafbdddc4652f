"""Two runs side by side: for which videos a switch helps, and where tracks are lost."""
