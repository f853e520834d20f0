"""Which frames of a long video should a video LLM see?  The library behind the workflow's programs."""

__version__ = "0.1.0"
