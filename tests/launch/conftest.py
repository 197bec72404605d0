import pytest

from mm15_jax.launch import programs, tpu_run
from tests.launch import tpu_hosts
from tests.launch.tpu_cloud import Cloud


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """One that a test plays, whose hosts are folders here."""
    monkeypatch.chdir(tmp_path)
    played = Cloud(tmp_path)
    monkeypatch.setattr(programs, "output_of", played.answer)
    monkeypatch.setattr(programs, "check_installed", lambda program: None)
    monkeypatch.setattr(tpu_run, "POLL_SECONDS", 0.1)
    yield played
    tpu_hosts.end_all(tmp_path / "programs")
