"""The `mm15` command."""
