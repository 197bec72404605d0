"""Generated data sets are made where a command needs them."""

import json

from mm15_jax import config as config_lib
from mm15_jax.cli import common, generated
from mm15_jax.data import miniature
from mm15_jax.data.prepare import prepare


def test_what_an_earlier_version_made_is_made_anew(tmp_path, monkeypatch, capsys):
    """Training on examples that the program no longer makes would not be reproducible."""
    monkeypatch.setattr(common, "DATA_DIR", str(tmp_path))
    name = "mini_compare"
    prepare(miniature.SETS[name].preparation(), tmp_path, limit=4, progress=lambda event: None)
    config = config_lib.load("mm15_nano_sft")
    made = []
    monkeypatch.setattr(generated, "_prepare", lambda missing, folder: made.extend(missing))
    monkeypatch.setattr(config_lib, "mixture", lambda config: ())

    generated.data_dir(None, [config], ["mini_compare"])
    assert made == []
    warning = f"warning: {tmp_path / name} was prepared with --limit 4: `mm15 prepare {name}` makes"
    assert warning in capsys.readouterr().err
    manifest = tmp_path / name / "test" / "manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(facts | {"version": facts["version"] - 1}))
    generated.data_dir(None, [config], ["mini_compare"])
    assert made == [name] and "warning" not in capsys.readouterr().err
