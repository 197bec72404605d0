"""From answers to scores: metrics, benchmarks as a table, the runner and the report page."""
