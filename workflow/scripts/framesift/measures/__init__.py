"""Measures of a selection or an answer besides its accuracy: one file each, plain functions."""
