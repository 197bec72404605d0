"""Pages without external resources, from a package's templates."""

from __future__ import annotations

import functools

import jinja2


@functools.cache
def template_of(package: str, name: str) -> jinja2.Template:
    """A template of `<package>/templates`; a name that it uses and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["percent"] = lambda x, digits=1: f"{100 * x:.{digits}f}%"
    environment.filters["number"] = lambda x: f"{x:,.0f}"
    return environment.get_template(name)


def duration(seconds: float) -> str:
    """`41 s`, `3 min 05 s`, `2 h 04 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    seconds = round(seconds)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
