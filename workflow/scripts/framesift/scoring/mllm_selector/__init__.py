"""The M-LLM frame selector (Hu et al., CVPR 2025, arXiv 2502.19680): a small language model scores all frames."""
