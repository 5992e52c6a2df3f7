"""What the scripts of `bench/` share: servers to measure, load on them, tables and plots.

It needs Python 3.9 and no packages.
"""
