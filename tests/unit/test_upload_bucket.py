"""Derivatives go to a bucket: whole, once, in parts that are kept, and never over what is another's.

The service is moto, on this machine; what it does not check itself (that content is what its MD5 says) is checked here.
"""

import base64
import hashlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from types import SimpleNamespace

import pytest

from conftest import ROOT
from derivatives import ALLOWED, BLOCK, content, everything, write
from hedgerow import _bucket, _destination, upload
from hedgerow.account import Stopped

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto")
import botocore.endpoint  # noqa: E402
import botocore.session  # noqa: E402

NOTE, SUMS = _destination.UNFINISHED, _destination.SUMS
EEG = "sub-02/eeg/sub-02_task-x_desc-clean_eeg.eeg"
#: A version without its second subject, who is withdrawn.
WITHDRAWN = {name: None for name in content() if name.startswith("sub-02/")} | {"participants.tsv": b"id\nsub-01\n"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_DEFAULT_REGION": "us-east-1"}
KEYS |= {
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
MIB = 1 << 20


class Service:
    """What stands between the clients and moto.

    Attributes
    ----------
    requests : list of (str, str, dict)
        Method, key (without the bucket) and query of each request that was answered with success.
    answer : callable or None
        ``answer(method, key, query)`` may give a status and code with which the request is refused instead.
    after : callable or None
        Called with method, key and query once a request has been served, before the client learns of it.
    most : int
        Requests that were under way at a time, at most.
    """

    def __init__(self, app):
        self.app, self.lock = app, threading.Condition()
        self.reset()

    def reset(self):
        self.requests, self.answer, self.after, self.now, self.most, self.wait_for = [], None, None, 0, 0, 0

    def __call__(self, environ, start):
        method, path = environ["REQUEST_METHOD"], urllib.parse.unquote(environ["PATH_INFO"]).lstrip("/")
        key, query = path.partition("/")[2], dict(urllib.parse.parse_qsl(environ["QUERY_STRING"], True))
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.lock.notify_all()
            if method == "PUT" and key and self.wait_for:
                self.lock.wait_for(lambda: self.most >= self.wait_for, timeout=20)
        try:
            return self._serve(environ, start, method, key, query)
        finally:
            with self.lock:
                self.now -= 1
                self.lock.notify_all()

    def _serve(self, environ, start, method, key, query):
        refused = self.answer and self.answer(method, key, query)
        body, told = b"", environ.get("HTTP_CONTENT_MD5")
        if method == "PUT":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = SimpleNamespace(read=_reader(body))
        if told and base64.b64decode(told) != hashlib.md5(body).digest():
            refused = ("400 Bad Request", "BadDigest")
        if refused:
            status, code = refused
            text = f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
            return [text]
        statuses = []

        def begin(status, headers, *more):
            statuses.append(status)
            return start(status, headers, *more)

        found = list(self.app(environ, begin))
        if statuses[0].startswith("2"):
            self.requests.append((method, key, query))
            if self.after:
                self.after(method, key, query)
        return found

    def did(self, *methods):
        """Keys of the requests of these methods, in their order; a part as ``key#number``."""
        return [
            key + (f"#{query['partNumber']}" if "partNumber" in query else "")
            for method, key, query in self.requests
            if method in methods
        ]


def _reader(body):
    left = [body]

    def read(size=-1):
        size = len(left[0]) if size is None or size < 0 else size
        found, left[0] = left[0][:size], left[0][size:]
        return found

    return read


@pytest.fixture(scope="module")
def moto():
    """The service, for all tests of this file."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    server._server.app = service = Service(server._server.app)
    service.url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    service.client = boto3.client("s3", endpoint_url=service.url, **keys)
    # every session reads what describes S3 anew, which takes longer than a test
    loader = botocore.session.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda path=None: loader)
        yield service
    server.stop()


@pytest.fixture
def service(moto, monkeypatch):
    """The service with an empty bucket ``shelf``, and credentials for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    moto.client.create_bucket(Bucket="shelf")
    moto.reset()
    yield moto
    moto.reset()
    for each in moto.client.list_multipart_uploads(Bucket="shelf").get("Uploads", ()):
        moto.client.abort_multipart_upload(Bucket="shelf", Key=each["Key"], UploadId=each["UploadId"])
    for each in moto.client.list_objects_v2(Bucket="shelf").get("Contents", ()):
        moto.client.delete_object(Bucket="shelf", Key=each["Key"])
    moto.client.delete_bucket(Bucket="shelf")


@pytest.fixture
def tree(tmp_path):
    """A derivative."""
    return write(tmp_path / "tree")


def send(service, tree, *, done=ALLOWED, **block):
    """Send a derivative to the bucket; the receipt."""
    block = {**BLOCK, "kind": "s3", "bucket": "shelf", "endpoint": service.url, **block}
    return upload.send(tree, done, block, name="there", study="lab", dataset="eyes")


def objects(service, prefix="eyes/"):
    """Content of all objects below a prefix, by the rest of their keys; asked of moto, not of the code under test."""
    listed = service.client.list_objects_v2(Bucket="shelf", Prefix=prefix).get("Contents", ())
    return {
        each["Key"][len(prefix) :]: service.client.get_object(Bucket="shelf", Key=each["Key"])["Body"].read()
        for each in listed
    }


def put(service, key, text, **more):
    """An object of somebody else."""
    service.client.put_object(Bucket="shelf", Key=key, Body=text, **more)


def killed(service, tree, when, **block):
    """Send from a process of its own that is killed, by a signal, once ``when(method, key, query)`` holds."""
    code = "import sys, json; from pathlib import Path; from derivatives import send"
    code += "; send(Path(sys.argv[1]), 's3', bucket='shelf', endpoint=sys.argv[2], **json.loads(sys.argv[3]))"
    path = os.pathsep.join(map(str, (ROOT / "workflow/src", ROOT / "tests")))
    command = [sys.executable, "-c", code, str(tree), service.url, json.dumps(block)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE)

    def after(*request):
        if when(*request):
            child.kill()
            child.wait()

    service.after = after
    _, said = child.communicate(timeout=100)
    # what was under way arrives whole, or not at all
    with service.lock:
        assert service.lock.wait_for(lambda: service.now == 0, timeout=20)
    service.after = None
    assert child.returncode == -signal.SIGKILL, said.decode()


def test_a_derivative_arrives_whole_and_a_second_time_nothing_is_sent(service, tree):
    done = send(service, tree)
    assert objects(service) == everything(tree)
    size = sum(map(len, everything(tree).values()))
    assert (done["put"], done["put_bytes"], done["bytes"], done["files"]) == (14, size, size, 14)
    assert done["place"] == f"s3://shelf/eyes at {service.url}"
    sent = service.did("PUT")
    # each once; the table of what is complete is the last
    assert sorted(sent) == sorted(f"eyes/{name}" for name in [*everything(tree), NOTE])
    assert (sent[0], sent[-1]) == (f"eyes/{NOTE}", f"eyes/{SUMS}") and service.did("DELETE") == [f"eyes/{NOTE}"]
    service.requests.clear()
    again = send(service, tree)
    assert (again["put"], again["same"]) == (0, 14) and service.did("PUT", "POST", "DELETE") == []
    # under its path, for a host that is only an address has no buckets as names
    assert {key.split("/")[0] for _, key, _ in service.requests} <= {"", "eyes"}


def test_an_object_tells_its_digest_and_kind(service, tree):
    send(service, tree)
    found = service.client.head_object(Bucket="shelf", Key=f"eyes/{EEG}")
    assert found["Metadata"] == {"sha256": hashlib.sha256(content()[EEG]).hexdigest()}
    assert service.client.head_object(Bucket="shelf", Key="eyes/participants.tsv")["ContentType"].startswith("text/tab")


def test_no_secret_is_told(service, tree):
    notes = []
    service.after = lambda method, key, query: key.endswith(NOTE) and method == "PUT" and notes.append(objects(service))
    text = json.dumps(send(service, tree)) + repr(objects(service)) + repr(notes)
    assert NOTE in text
    with pytest.raises(Stopped) as told:
        send(service, tree, bucket="nobody")
    for secret in ("very-secret", "AKIAEXAMPLE"):
        assert secret not in text + str(told.value)


def test_what_others_sent_with_the_same_content_is_not_sent_again(service, tree):
    """It carries no digest of ours; its MD5 tells."""
    for name, text in everything(tree).items():
        put(service, f"eyes/{name}", text)
    service.requests.clear()
    assert send(service, tree)["put"] == 0 and service.did("PUT", "DELETE") == []


def test_nothing_is_replaced_or_removed_without_consent(service, tree):
    send(service, tree)
    put(service, "eyes/mine.txt", b"mine")
    put(service, "eyes2/README.md", b"a key that begins alike")
    write(tree, content(**{**WITHDRAWN, "README.md": b"new"}))
    service.requests.clear()
    with pytest.raises(
        Stopped, match=r"s3://shelf/eyes at .*other content of README\.md, .*no longer part.*sub-02.*`over"
    ):
        send(service, tree)
    assert service.did("PUT", "POST", "DELETE") == []
    done = send(service, tree, overwrite=True)
    assert objects(service) == {**everything(tree), "mine.txt": b"mine"}
    assert objects(service, "eyes2/") == {"README.md": b"a key that begins alike"}
    assert (done["put"], done["removed"], done["others"]) == (3, 4, 1)
    sent = service.did("PUT", "DELETE")
    # what is withdrawn goes before anything comes, and with the first of it what said that all is there
    gone = [SUMS, *(name for name in content() if name.startswith("sub-02/"))]
    assert sent[0] == f"eyes/{NOTE}" and set(sent[1:6]) == {f"eyes/{name}" for name in gone}


def test_a_prefix_of_others_is_refused(service, tree):
    put(service, "eyes/theirs.txt", b"theirs")
    put(service, "eyes/folder/", b"")
    with pytest.raises(Stopped, match=r"not of this derivative: theirs\.txt"):
        send(service, tree)
    assert service.did("PUT")[2:] == []
    send(service, tree, prefix="{study}/{dataset}/")
    assert objects(service, "lab/eyes/") == everything(tree)


def test_another_derivative_is_refused_even_with_consent(service, tree, tmp_path):
    send(service, write(tmp_path / "other", study="other"))
    before = objects(service)
    with pytest.raises(Stopped, match=r"holds another derivative \(study other, dataset file:eyes"):
        send(service, tree, overwrite=True)
    assert objects(service) == before


def test_killed_in_the_middle_and_again_sends_nothing_twice(service, tree):
    killed(service, tree, lambda method, key, query: len(service.did("PUT")) >= 6)
    arrived = service.did("PUT")
    assert 6 <= len(arrived) <= 14 and f"eyes/{SUMS}" not in arrived
    done = send(service, tree)
    assert objects(service) == everything(tree)
    sent = [key for key in service.did("PUT") if not key.endswith(NOTE)]
    assert sorted(sent) == sorted(f"eyes/{name}" for name in everything(tree)) and done["same"] == len(arrived) - 1


def test_killed_after_the_last_file_only_the_note_is_left_to_do(service, tree):
    killed(service, tree, lambda method, key, query: method == "PUT" and key.endswith(SUMS))
    assert NOTE in objects(service)
    service.requests.clear()
    send(service, tree)
    assert objects(service) == everything(tree)
    assert service.did("PUT") == [f"eyes/{NOTE}"]


def _large(**changes):
    """A derivative with a file of three parts, and one that a part has exactly."""
    big = b"".join(bytes([number]) * MIB for number in range(12)) + b"end"
    return content(**{"large.eeg": big, "part.eeg": bytes(5 * MIB), **changes})


def test_a_large_file_goes_in_parts_that_are_never_sent_again(service, tree):
    files = _large()
    write(tree, files)
    killed(service, tree, lambda method, key, query: "partNumber" in query, part_mib=5)
    arrived = [key for key in service.did("PUT") if "#" in key]
    assert 1 <= len(arrived) <= 3 and "large.eeg" not in objects(service)
    send(service, tree, part_mib=5)
    assert objects(service) == everything(tree)
    parts = [key for key in service.did("PUT") if "#" in key]
    assert sorted(parts) == [f"eyes/large.eeg#{number}" for number in (1, 2, 3)]
    assert service.did("PUT").count("eyes/part.eeg") == 1
    found = service.client.head_object(Bucket="shelf", Key="eyes/large.eeg")
    assert found["Metadata"]["sha256"] == hashlib.sha256(files["large.eeg"]).hexdigest()
    assert service.client.list_multipart_uploads(Bucket="shelf").get("Uploads", []) == []
    service.requests.clear()
    assert send(service, tree, part_mib=5)["put"] == 0 and service.did("PUT", "POST") == []


@pytest.mark.parametrize("mib", [5, 6])
def test_parts_of_another_content_or_size_are_not_gone_on_with(service, tree, mib):
    write(tree, _large())
    # all parts that have arrived are the same in both versions
    service.answer = lambda method, key, query: query.get("partNumber") == "3" and ("503 Slow Down", "SlowDown")
    killed(service, tree, lambda method, key, query: "partNumber" in query, part_mib=5)
    service.answer = None
    changed = {} if mib == 6 else {"large.eeg": _large()["large.eeg"][:-3] + b"new"}
    write(tree, _large(**changed))
    send(service, tree, part_mib=mib, overwrite=True)
    assert objects(service) == everything(tree)
    assert service.client.list_multipart_uploads(Bucket="shelf").get("Uploads", []) == []


def test_parts_of_a_file_that_is_withdrawn_are_thrown_away_those_of_others_stay(service, tree):
    write(tree, _large())
    killed(service, tree, lambda method, key, query: "partNumber" in query, part_mib=5)
    theirs = service.client.create_multipart_upload(Bucket="shelf", Key="eyes/theirs.bin")["UploadId"]
    write(tree)
    send(service, tree, overwrite=True)
    assert objects(service) == everything(tree)
    left = service.client.list_multipart_uploads(Bucket="shelf")["Uploads"]
    assert [each["UploadId"] for each in left] == [theirs]


def test_where_unfinished_uploads_cannot_be_listed_all_is_sent(service, tree):
    write(tree, _large())
    service.answer = lambda method, key, query: (
        ("403 Forbidden", "AccessDenied") if "uploads" in query and method == "GET" else None
    )
    send(service, tree, part_mib=5)
    assert objects(service) == everything(tree)


def test_requests_go_side_by_side_and_no_more_than_so_many(service, tree):
    write(tree, content(**{f"many/{number}.tsv": b"x" for number in range(40)}))
    service.wait_for = 16  # what comes to write waits for its fellows
    files = _destination.goods(tree)
    place = _bucket.Bucket("shelf", "eyes", endpoint=service.url)
    place.put(files, [name for name in files.files if name.startswith("many/")], lambda number: None)
    assert service.most == 16


def test_a_service_that_is_busy_is_asked_again_for_a_while(service, tree, monkeypatch):
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
    busy = []

    def answer(method, key, query):
        if key.endswith("README.md") and method == "PUT" and len(busy) < most:
            busy.append(key)
            return "503 Slow Down", "SlowDown"
        return None

    service.answer, most = answer, 2
    send(service, tree)
    assert objects(service) == everything(tree) and len(busy) == 2
    busy.clear()
    most = 1000
    write(tree, content(**{"README.md": b"new"}))
    with pytest.raises(Stopped, match="SlowDown"):
        send(service, tree, overwrite=True)
    assert len(busy) == 5


def test_what_arrives_as_something_else_is_not_taken(service, tree, monkeypatch):
    """The service refuses what is not as its MD5 says."""
    monkeypatch.setattr(_bucket, "_base64", lambda digest: base64.b64encode(bytes(16)).decode())
    with pytest.raises(Stopped, match="BadDigest"):
        send(service, tree)
    assert set(objects(service)) == {NOTE}


def test_what_is_not_as_its_digest_says_does_not_go(service, tree):
    (tree / EEG).write_bytes(bytes(len(content()[EEG])))
    with pytest.raises(Stopped, match=rf"{EEG} is not what code/sha256sums says"):
        send(service, tree)
    assert not {EEG, SUMS} & set(objects(service))


def test_a_licence_that_forbids_it_is_held_before_anything_is_asked(service, tree):
    done = {"licence": {"redistribution": "forbidden", "sentence": "DUA."}}
    with pytest.raises(Stopped, match="no destination may have it"):
        send(service, tree, done=done, licence_confirmed=True, overwrite=True)
    assert service.requests == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (("403 Forbidden", "AccessDenied"), r"s3://shelf/eyes at http.*AccessDenied: these credentials may not"),
        (("403 Forbidden", "InvalidAccessKeyId"), r"does not know these credentials: see AWS_ACCESS_KEY_ID"),
        (("403 Forbidden", "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY"),
        (("400 Bad Request", "AuthorizationHeaderMalformed"), "another region: mend `region`"),
    ],
)
def test_what_a_service_refuses_is_told_with_its_remedy(service, tree, answer, words):
    service.answer = lambda method, key, query: answer
    with pytest.raises(Stopped, match=words):
        send(service, tree)


def test_a_bucket_that_is_not_there_is_told(service, tree):
    with pytest.raises(Stopped, match=r"s3://nobody/eyes at .*NoSuchBucket: there is no such bucket"):
        send(service, tree, bucket="nobody")


def test_credentials_that_are_missing_are_told(service, tree, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Stopped, match=r"(?i)credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and"):
        send(service, tree)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Stopped, match=r"profile.*nobody.*mend the configuration of AWS"):
        send(service, tree)


def test_a_service_that_is_not_there_is_told(service, tree, monkeypatch):
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Stopped, match=rf"s3://shelf/eyes at {url} cannot be reached .*mend the network, or `endpoint`"):
        send(service, tree, endpoint=url)


def test_without_boto3_it_is_told_what_to_install(service, tree, monkeypatch):
    for name in ("boto3", "botocore", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Stopped, match="pip install boto3"):
        send(service, tree)


def test_preview_only_asks(service, tree, tmp_path, monkeypatch):
    from hedgerow import account

    monkeypatch.chdir(tmp_path)
    tree.parent.joinpath("results/studies/lab/published").mkdir(parents=True)
    tree.rename("results/studies/lab/published/eyes")
    account.write("results/studies/lab/published/eyes_validation.json", ALLOWED)
    block = {**BLOCK, "kind": "s3", "bucket": "shelf", "endpoint": service.url}
    text = upload.preview({"shelf": block, "none": {**block, "bucket": "nobody"}}, study="lab", datasets=["eyes"])
    assert f"shelf, eyes\n  to s3://shelf/eyes at {service.url}\n  new: 14 files, 181.8 kB" in text
    assert "none, eyes\n  refused: s3://nobody/eyes" in text
    assert {method for method, _, _ in service.requests} <= {"GET", "HEAD"}
