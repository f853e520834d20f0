"""The embedded demo: a small rendered video world, its questions, and the tiny models fitted to it."""
