import concurrent.futures
import hashlib
import os

import pytest

from mm15_jax.data import cache, storage
from mm15_jax.data.storage import StorageError, to_path, write_atomically

DATA = os.urandom(100_000)
CHANGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
SHA256 = hashlib.sha256(DATA).hexdigest()


class Requests(list):
    """The ranges that were asked of a bucket."""


@pytest.fixture
def requests(monkeypatch):
    """Files are fetched in requests of 30,000 bytes, which are noted here."""
    noted = Requests()
    client_of = storage.client_of

    def noting(path):
        client, target = client_of(path)

        class Client:
            size = client.size

            @staticmethod
            def cat_file(name, start, end):
                noted.append((start, end))
                return client.cat_file(name, start=start, end=end)

        return Client, target

    monkeypatch.setattr(storage, "client_of", noting)
    monkeypatch.setattr(cache, "_REQUEST", 30_000)
    return noted


@pytest.fixture
def remote(prefix):
    path = to_path(prefix) / "set" / "train" / "shard"
    write_atomically(path, DATA)
    return path


def part_of(remote):
    copy = cache.place_of(remote, SHA256)
    copy.parent.mkdir(parents=True)
    return copy.with_name(f".{copy.name}.part")


def test_a_file_is_fetched_once(remote, requests):
    copy = cache.fetch(remote, len(DATA), SHA256)
    assert copy.read_bytes() == DATA and copy.is_relative_to(os.environ[cache.CACHE])
    assert requests == [(0, 30_000), (30_000, 60_000), (60_000, 90_000), (90_000, 100_000)]
    assert cache.fetch(remote, len(DATA), SHA256) == copy
    assert len(requests) == 4


def test_another_content_under_the_same_name_is_another_copy(remote):
    first = cache.fetch(remote, len(DATA), SHA256)
    write_atomically(remote, DATA[::-1])
    second = cache.fetch(remote, len(DATA), hashlib.sha256(DATA[::-1]).hexdigest())
    assert first.read_bytes() == DATA and second.read_bytes() == DATA[::-1]


def test_a_fetch_goes_on_where_it_was_stopped(remote, requests):
    part_of(remote).write_bytes(DATA[:70_000])
    assert cache.fetch(remote, len(DATA), SHA256).read_bytes() == DATA
    assert requests == [(70_000, 100_000)]


def test_a_damaged_start_is_fetched_anew(remote, requests):
    part_of(remote).write_bytes(b"?" * 70_000)
    assert cache.fetch(remote, len(DATA), SHA256).read_bytes() == DATA
    assert requests[1:] == [(0, 30_000), (30_000, 60_000), (60_000, 90_000), (90_000, 100_000)]


@pytest.mark.parametrize("data", [CHANGED, DATA + b"more"], ids=["other", "longer"])
def test_a_file_that_is_not_what_the_manifest_says_is_refused(remote, data):
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(StorageError, match=r"shard has not the size and sha256"):
        cache.fetch(remote, len(DATA), sha256)
    folder = cache.place_of(remote, sha256).parent
    assert [name for name in os.listdir(folder) if not name.endswith(".lock")] == []


def test_threads_share_one_fetch(remote, requests, monkeypatch):
    meter = cache.Meter()
    meter.expect(10 * len(DATA))
    monkeypatch.setattr(cache, "METER", meter)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(lambda _: cache.fetch(remote, len(DATA), SHA256), range(8)))
    assert len(set(copies)) == 1 and len(requests) == 4
    assert (meter._expected, meter._arrived) == (10 * len(DATA), len(DATA))


def test_a_full_disk_is_told_with_the_way_out(gs_prefix, monkeypatch):
    path = to_path(gs_prefix) / "shard"
    write_atomically(path, DATA)
    usage = cache.shutil.disk_usage(".")._replace(free=5000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match=r"needs 0\.0 GB in .*MM15_CACHE"):
        cache.fetch(path, len(DATA), SHA256)


def test_a_local_file_is_itself_and_a_remote_one_its_copy(remote, tmp_path):
    assert cache.local_file(tmp_path / "x") == tmp_path / "x"
    assert cache.local_file(remote).read_bytes() == DATA
    with pytest.raises(FileNotFoundError):
        cache.local_file(remote.with_name("nothing"))


def test_the_log_tells_how_far_a_fetch_is(caplog, monkeypatch):
    caplog.set_level("INFO")
    now = 100.0
    monkeypatch.setattr(cache.time, "monotonic", lambda: now)
    meter = cache.Meter(seconds_between_lines=10)
    meter.expect(1_000_000_000)
    for _ in range(10):
        now += 4
        meter.add(100_000_000)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "fetched 0.30 of 1.00 GB of data, 25 MB/s, 0:00:28 left if all of it is read",
        "fetched 0.60 of 1.00 GB of data, 25 MB/s, 0:00:16 left if all of it is read",
        "fetched 0.90 of 1.00 GB of data, 25 MB/s, 0:00:04 left if all of it is read",
        "fetched 1.00 of 1.00 GB of data, 25 MB/s",
    ]
