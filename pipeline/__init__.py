"""One video in, rows and files out. Pure Python and its models; knows schemas/ and no engine."""
