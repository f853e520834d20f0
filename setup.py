"""The packages of the distribution; everything else about it is in pyproject.toml.

The programs lie beside the library in the checkout. Installed, they are the package `framesift.commands`, and the files
that programs look for in a checkout are in `framesift.shared`, so that nothing called `cache` or `why` is importable.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages("workflow/scripts", include=["framesift", "framesift.*"]),
        "framesift.commands",
        "framesift.shared.config",
        "framesift.shared.resources",
    ]
)
