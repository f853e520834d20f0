"""The configuration: its models, loading with good errors, and its documentation."""
