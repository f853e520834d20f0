"""ReTaKe (Wang et al., 2024, arXiv 2412.20504) on today's transformers: long videos in a bounded key-value cache.

The network prefills the video in chunks. After each chunk a layer keeps the tokens that the chunk itself attends to
most (PivotKV), and closes the time axis over the dropped ones. DPSelect marks the tokens at which the picture changes
most, or drops the others before the language model. AdaReTaKe's budgets (Wang et al., 2025, arXiv 2503.12559) are
options.

`settings` is the configuration, `dpselect` and `budgets` are arithmetic, `pivotkv` is cache and attention, `networks`
knows the families of networks, and `generation` wraps a network's `generate`. No code of transformers is copied or
replaced: a cache class, a registered attention function and a hook before the text model are enough.
"""
