"""Training: a pure step, an optimizer by parameter path, and a loop that reads top to bottom."""
