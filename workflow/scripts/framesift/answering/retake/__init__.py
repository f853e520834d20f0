"""ReTaKe (Wang et al., 2024, arXiv 2412.20504) on today's transformers: long videos in a bounded memory of keys.

The video is prefilled in chunks. After each chunk a layer keeps those of its tokens that the chunk itself attends to
most (PivotKV), and the time axis is closed up over those that are gone. DPSelect marks the tokens at which the picture
changes most, or drops the others before the language model. AdaReTaKe's budgets (Wang et al., 2025, arXiv 2503.12559)
are options.

`settings` is the configuration, `dpselect` and `budgets` are arithmetic, `pivotkv` is cache and attention, `networks`
knows the families of networks, `generation` puts it in the way of a network's `generate`. Nothing of transformers is
copied or replaced: a cache, a registered attention function and a hook before the text model do it.
"""
