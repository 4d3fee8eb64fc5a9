"""Benchmarks are run by hand, not collected."""

collect_ignore_glob = ["*.py"]
