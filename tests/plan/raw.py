"""Figures of a compiled step as `plan.worker` gives them, made up."""

from mm15_jax.plan.chips import GIB


def raw(peak: float = 10.0, **changes):
    """Of a program of `peak` GiB a device, 4 of them arguments."""
    return {
        "bytes": {"parameters": 2 * GIB, "optimizer": GIB, "batch": GIB},
        "memory": {
            "arguments": 4 * GIB,
            "outputs": 3 * GIB,
            "alias": 3 * GIB,
            "temp": 7 * GIB,
            "peak": int(peak * GIB),
            "program": 0,
            "host": 0,
        },
        "xla": {"flops": 1e12, "bytes": 1e9, "optimal_seconds": 0.5},
        "flops": 459e12,
        "flops_once": 1e12,
        "traffic": 2765e8,
        "traffic_once": 1e9,
        "host_copies": [0.0, 0.0],
        "cycles": 1000,
        "kernels": {},
        "unknown_loops": 0,
        "exchanges": [
            {
                "kind": "all-gather",
                "devices": 64,
                "network": "ici",
                "payload": 100,
                "runs": 3,
                "ici_seconds": 0.25,
                "dcn_seconds": 0.0,
            }
        ]
        * 2,
        "seconds": 2.0,
        "seconds_once": 0.5,
        "program": "p",
        "lower_seconds": 1.0,
        "compile_seconds": 2.0,
        "host_peak_bytes": GIB,
        "versions": {"jax": "1", "jaxlib": "2", "libtpu": "3"},
        **changes,
    }


def refused(used: float, limit: float):
    """Of a program that the compiler refused for its memory."""
    keys = ("bytes", "program", "lower_seconds", "compile_seconds", "host_peak_bytes", "versions")
    sizes = {"used": int(used * GIB), "limit": int(limit * GIB)}
    return {**{key: raw()[key] for key in keys}, "refused": sizes}
