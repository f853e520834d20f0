"""Pseudo-labels for training the selector: which frames matter for a question, by models that look and read."""
