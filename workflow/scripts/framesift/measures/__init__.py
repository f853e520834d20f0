"""Metrics: what is measured of a selection or an answer besides the accuracy. One file each, plain functions."""
