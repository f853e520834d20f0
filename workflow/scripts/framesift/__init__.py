"""Which frames of a long video should a video LLM see?"""

__version__ = "0.1.0"
