"""Every switch of a study: typed, validated, read from names, files and the command line."""
