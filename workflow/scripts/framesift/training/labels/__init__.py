"""Pseudo-labels for the selector: which frames matter for a question, by models that inspect frames and captions."""
