"""Imports other people's scorers alone: without the packages around them, and what those import."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import pathlib
import sys
import types
from unittest import mock

SOURCES = pathlib.Path(sys.prefix) / "sources"  # the files that setup.sh downloads
# Imported at the top of a module that has a scorer, and never called by it.
UNUSED = {
    "PIL", "datasets", "matplotlib", "pdb", "prettytable", "torch", "tqdm", "lm_eval.api.registry",
    "lmms_eval.api.registry", "lmms_eval.llm_judge", "lmms_eval.verifiers",
    "lmms_eval.tasks._task_utils.file_utils",
}  # fmt: skip


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Importing one of `UNUSED` gives an empty stand-in."""

    def find_spec(self, name, path=None, target=None):
        if any(name == top or name.startswith(f"{top}.") for top in UNUSED):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = mock.MagicMock(name=spec.name)
        module.__path__, module.__name__, module.__spec__ = [], spec.name, spec
        module.tqdm = lambda items: items
        module.register_metric = module.register_aggregation = lambda *a, **k: lambda f: f
        return module

    def exec_module(self, module):
        pass


def bare(package: str) -> None:
    """A package whose modules can be imported, without its own __init__."""
    module = types.ModuleType(package)
    top, *rest = package.split(".")
    root = importlib.metadata.distribution(top).locate_file(top)
    module.__path__ = [str(pathlib.Path(root, *rest))]
    sys.modules[package] = module


def task(name: str, package: str = "lmms_eval"):
    return importlib.import_module(f"{package}.{name}")


def script(name: str):
    """A downloaded file as a module."""
    spec = importlib.util.spec_from_file_location(name, SOURCES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
