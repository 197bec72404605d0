"""Compiles MaxText's own train step ahead of time and appends its figures as one JSON row.

Usage, in MaxText's environment: python maxtext_compile.py NAME OUT.jsonl BASE_YML KEY=VALUE ...
MaxText's `train_compile` does everything; only its last step, which compiles, is timed and asked
for figures here.
"""

import json
import os
import sys
import time

import jax
from maxtext.trainers.pre_train import train_compile
from maxtext.utils import max_utils


def main(argv: list[str]) -> None:
    """Runs MaxText's command with a compile of our own."""
    name, out, *arguments = argv
    began = time.monotonic()

    def compile_and_tell(
        function, args, kwargs, mesh, in_shardings, out_shardings, static, donated, config, rules
    ):
        with jax.set_mesh(mesh), mesh, rules:
            lowered = jax.jit(
                function,
                in_shardings=in_shardings,
                out_shardings=out_shardings,
                static_argnums=static,
                donate_argnums=donated,
            ).lower(*args, **kwargs)
        lowered_at = time.monotonic()
        options = max_utils.parse_libtpu_flags_to_dict(config.compile_xla_flags)
        compiled = lowered.compile(compiler_options=options)
        cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
        with open(os.path.join(os.path.dirname(out), f"{name}.hlo"), "w") as file:
            file.write(compiled.as_text())
        row = {
            "name": name,
            "jax": jax.__version__,
            "arguments": memory.argument_size_in_bytes,
            "temp": memory.temp_size_in_bytes,
            "peak": memory.peak_memory_in_bytes,
            "flops": cost["flops"],
            "bytes": cost["bytes accessed"],
            "optimal_seconds": cost["optimal_seconds"],
            "lower_seconds": lowered_at - began,
            "compile_seconds": time.monotonic() - lowered_at,
        }
        with open(out, "a") as file:
            file.write(json.dumps(row) + "\n")
        return compiled

    train_compile.jit_and_compile = compile_and_tell
    train_compile.main(["train_compile.py", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
