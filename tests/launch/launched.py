"""Experiments for launches in tests: small, and the same on any mesh."""

from tests import tiny


def short():
    return tiny.experiment(**{"train.steps": 3, "train.batch_rows": 4})


def long():
    """Far more steps than a test waits for; a checkpoint comes when it is told to stop."""
    return tiny.experiment(**{"train.steps": 4000, "train.batch_rows": 4, "checkpoint.every": 4000})


def story():
    """Enough steps to be preempted between them."""
    return tiny.experiment(**{"train.steps": 300, "train.batch_rows": 4, "checkpoint.every": 4000})
