"""`prepare` on Apache Beam: the same parts, made by the workers of any Beam runner.

The tasks are read from a file beside the shards (a job's graph must stay small), spread over the
workers, and made by the function that processes on one machine call. Each leaves a shard and a
receipt; when the pipeline has ended, `prepare` gathers the receipts into a manifest. So shards,
checksums, and what a stopped job leaves for the next one are the same as without Beam.

Apache Beam is the extra `beam`; its workers need this package and no JAX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mm15_jax.data import parts, registry
from mm15_jax.data.parts import Receipt, Task
from mm15_jax.data.preparation import Preparation
from mm15_jax.data.prepare import Runner

TASKS = ".tasks.jsonl"  # beside the shards while the pipeline runs


def in_pipeline(options: Sequence[str] = ()) -> Runner:
    """The runner of Beam; waits for the pipeline's end.

    Args:
      options: Beam's own, such as "--runner=DataflowRunner"; Beam's local runner where none are
        given.

    Raises:
      ValueError: if Apache Beam is not installed; in the runner, for a preparation that is not the
        registry's.
    """
    try:
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--runner=beam needs Apache Beam ({error}): pip install '.[beam]' in a clone, in "
            "an environment of its own"
        ) from error

    def run(preparation: Preparation, tasks: Sequence[Task]) -> Iterator[Receipt]:
        if registry.all_preparations().get(preparation.name) is not preparation:
            raise ValueError(
                f"Beam's workers find a preparation by its name, and {preparation.name!r} is not "
                "the registry's: prepare it without a runner"
            )
        directory = tasks[0].directory
        parts.write_tasks(directory / TASKS, tasks)
        _run_pipeline(str(directory / TASKS), options, f"{preparation.name} {tasks[0].split}")
        made = parts.read_receipts(directory, [task.file for task in tasks])
        assert len(made) == len(tasks), f"{len(tasks) - len(made)} parts without a receipt"
        yield from made

    return run


def _run_pipeline(tasks: str, options: Sequence[str], name: str) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        (
            pipeline
            | f"Tasks of {name}" >> beam.Create([tasks])
            | "Read" >> beam.FlatMap(parts.read_tasks)
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.Map(_make)
        )


def _make(task: Task) -> None:
    """Makes one part; counts, for Beam's own pages."""
    from apache_beam.metrics import Metrics

    receipt = parts.make_part(registry.get(task.name), task)
    for counter, count in (
        ("examples", receipt.shard.records),
        ("bad", receipt.bad_records),
        ("bytes", receipt.shard.bytes),
    ):
        Metrics.counter("mm15_jax", counter).inc(count)
