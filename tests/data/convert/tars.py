"""Tars as webdataset writes them."""

import io
import json
import tarfile


def tar(samples):
    """The bytes of a tar of (key, {extension: bytes, text or JSON-able}) samples."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, fields in samples:
            for extension, value in fields.items():
                text = value if isinstance(value, str | bytes) else json.dumps(value)
                data = text.encode() if isinstance(text, str) else text
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()
