"""Benchmarks: what a task costs, side by side with the alternatives, in one run."""
