"""A loopback stand-in for a judge: answers chat requests as a test wants.

By itself it has a middling opinion of every answer, in the form that the prompt asks for; with a
share above 0 it talks nonsense that often:

    python -m tests.evaluation.judge_server [SHARE]
"""

import contextlib
import http.server
import json
import sys
import threading
import time
import zlib


class Server:
    """What was asked, and how it is answered.

    Attributes:
      behave: called with (number of the request from 0, its body); returns a text, or (status,
        headers, body, seconds of delay).
      asked: bodies of all requests. headers: theirs.
      most_at_once: most requests that were being answered at one time.
    """

    def __init__(self, behave):
        self.behave = behave
        self.asked, self.headers, self.times = [], [], []
        self.now, self.most_at_once = 0, 0
        self.lock = threading.Lock()
        self.url = ""
        self.chunk = 0  # bytes that are written at once, ten times a second; 0 for all


def completion(text, model="judge-2024-01-01"):
    return {"model": model, "choices": [{"message": {"role": "assistant", "content": text}}]}


def middling(body, nonsense=0.0):
    """A reply of the protocol that a request is of; nonsense to a share of the requests."""
    text = "\n".join(message["content"] for message in body["messages"])
    if zlib.crc32(text.encode()) % 1000 < 1000 * nonsense:
        return "As a judge I would rather talk about the weather."
    forms = {
        "Score: <a whole number": "Explanation: so so\nScore: 3",  # LLaVA-Hound
        "'pred' and 'score'": "{'pred': 'yes', 'score': 3}",  # ActivityNet-QA
        "'score'": "{'score': 3}",  # VCGBench
        "[Assistant 2]": "8 6\nBoth are answers.",  # LLaVA-W, Ferret-Bench
    }
    return next((reply for mark, reply in forms.items() if mark in text), "0.5")  # MM-Vet


@contextlib.contextmanager
def serving(behave):
    """A server on a free port while the context lasts."""
    state = Server(behave)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                number = len(state.asked)
                state.asked.append({"path": self.path, **body})
                state.headers.append(dict(self.headers))
                state.times.append(time.monotonic())
                state.now += 1
                state.most_at_once = max(state.most_at_once, state.now)
            try:
                found = state.behave(number, body)
                status, headers, payload, delay = (
                    (200, {}, completion(found), 0) if isinstance(found, str) else found
                )
                time.sleep(delay)
                data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for start in range(0, len(data), state.chunk or len(data) or 1):
                    self.wfile.write(data[start : start + (state.chunk or len(data))])
                    time.sleep(0.1 if state.chunk else 0)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client left
            finally:
                with state.lock:
                    state.now -= 1

        def log_message(self, *arguments):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def main(share="0"):
    with serving(lambda number, body: middling(body, float(share))) as server:
        print(f"export OPENAI_BASE_URL={server.url} MODEL_VERSION=stub", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
