"""Data sets by name."""

import subprocess
import sys

import pytest

from mm15_jax.data import registry


def test_groups_stand_for_their_members():
    assert registry.expand(["mini_ocr", "miniature"])[:2] == ["mini_ocr", "mini_glyphs"]
    assert set(registry.groups()["open"]) <= registry.all_preparations().keys()
    with pytest.raises(ValueError, match="'miniatur'; did you mean 'miniature'"):
        registry.expand(["miniatur"])


def test_to_list_data_sets_imports_no_reader_of_formats():
    code = (
        "import sys; from mm15_jax.data import registry; registry.all_preparations();"
        "print([m for m in ('jax', 'pyarrow', 'tensorflow', 'pypdfium2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_registry_knows_the_miniature_and_suggests_names():
    names = registry.all_preparations()
    assert "mini_ocr" in names and all(p.name == name for name, p in names.items())
    with pytest.raises(ValueError, match="unknown data set 'mini_orc'; did you mean 'mini_ocr'"):
        registry.get("mini_orc")
