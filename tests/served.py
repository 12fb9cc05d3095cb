"""A folder served over HTTP on this machine, with ranges, a delay for each request, and faults on demand."""

import contextlib
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class Served:
    """What a server was asked for, and how it answers.

    Attributes
    ----------
    url : str
    requests : Counter
        How often each path was asked for.
    sent : int
        Bytes of all answers.
    most : int
        Largest number of requests that were under way at once.
    faults : dict of str to list
        By path: what the next requests get instead of the file, one each: a status (int), ``"stall"`` (half of it, and
        then nothing for a while), ``"cut"`` (half of it), ``"flip"`` (one wrong byte), or ``None`` (the file).
    """

    def __init__(self, folder, delay=0.0, ranges=True):
        self.folder, self.delay, self.ranges = Path(folder), delay, ranges
        self.requests, self.sent, self.most, self.faults, self._now = Counter(), 0, 0, {}, 0
        self._lock = threading.Lock()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                served.answer(self)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        name = unquote(request.path).lstrip("/")
        with self._lock:
            self.requests[name] += 1
            self._now += 1
            self.most = max(self.most, self._now)
            fault = self.faults[name].pop(0) if self.faults.get(name) else None
        try:
            time.sleep(self.delay)
            self._answer(request, self.folder / name, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, request, path, fault):
        if isinstance(fault, int) or not path.is_file():
            request.send_response(fault or 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content, status = path.read_bytes(), 200
        asked = request.headers.get("Range") if self.ranges else None
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            content, status = content[int(first) : int(last) + 1 if last else None], 206
        if fault == "flip":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault in ("stall", "cut"):
                request.wfile.write(content[: len(content) // 2])
                request.wfile.flush()
                time.sleep(1.0 if fault == "stall" else 0.0)
                request.close_connection = True
                return
            with self._lock:  # before the bytes go: who has them may ask at once how many they were
                self.sent += len(content)
            request.wfile.write(content)

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
