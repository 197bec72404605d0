"""Checkpoints with their data state, run directories, and where parameters come from."""
