"""The download, against a local HTTP server."""

import hashlib
import http.server
import threading

import pytest

from jaxninja.data import datasets, download
from jaxninja.data.text import DataError

CONTENT = "\n".join(f"name{i}" for i in range(20)).encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self):
        type(self).requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        body = CONTENT if self.path == "/names.txt" else CONTENT[:-5] + b"other"
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(body[:50] if self.path == "/short" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Handler.requests = []
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def fetch(server, tmp_path, path):
    return download.makemore(tmp_path / "cache", f"{server}{path}", SHA256)


def test_it_is_fetched_once(server, tmp_path):
    for _ in range(2):
        path = fetch(server, tmp_path, "/names.txt")
        assert path.read_bytes() == CONTENT
    assert Handler.requests == ["/names.txt"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/altered", "gave .* bytes of sha256 .*, expected "),
        ("/short", "cannot be fetched"),
        ("/missing", "cannot be fetched .*Not Found"),
    ],
)
def test_a_wrong_file_is_refused_and_not_kept(server, tmp_path, path, text):
    with pytest.raises(DataError, match=text) as error:
        fetch(server, tmp_path, path)
    assert "makemore-names.txt" in str(error.value)
    assert not list(tmp_path.rglob("*.*"))


def test_an_altered_cache_is_fetched_again(server, tmp_path):
    path = fetch(server, tmp_path, "/names.txt")
    path.write_bytes(b"altered")
    assert fetch(server, tmp_path, "/names.txt").read_bytes() == CONTENT


def test_without_a_network_it_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"--data names"):
        download.makemore(tmp_path, "http://127.0.0.1:9/names.txt", SHA256)


def test_a_cached_file_needs_no_network(tmp_path, monkeypatch):
    (tmp_path / "makemore-names.txt").write_bytes(CONTENT)
    monkeypatch.setattr(download, "SHA256", SHA256)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setattr(download.makemore, "__defaults__", (None, "http://[", SHA256))
    assert datasets.load_items("makemore")[:2] == ["name0", "name1"]


def test_a_disk_that_is_full_leaves_what_was_there(server, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "full")

    path = fetch(server, tmp_path, "/names.txt")
    path.write_bytes(b"altered")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(DataError, match="cannot be written: full"):
        fetch(server, tmp_path, "/names.txt")
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"altered"]


def test_a_cache_that_cannot_be_written_is_one_line(server, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server, tmp_path, "/names.txt")
