"""A server on loopback that answers requests by a function: what stands for a cloud in tests."""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator

# From method, path and the body's JSON to status and content, as JSON or as text.
Answer = Callable[[str, str, dict], tuple[int, dict | str]]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Answers in threads; the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _handle(self):
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = answer(self.command, self.path, json.loads(text or "{}"))
            plain = isinstance(content, str)
            data = content.encode() if plain else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if plain else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = _handle  # noqa: N815

        def log_message(self, *unused):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
