"""A run as a model of public evaluation harnesses; each module imports its own harness."""
