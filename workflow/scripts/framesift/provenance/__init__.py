"""Provenance: what a result was made from, why a file would be made again, and how two runs differ."""
