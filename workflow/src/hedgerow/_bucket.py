"""A bucket of S3, or of a service that is compatible with it, as the destination of an upload.

Credentials are found as boto3 finds them (environment, ``~/.aws``, the machine's role); none is taken or written here.
A large file goes in parts, of which those that have arrived are never sent again; each file carries its sha256.
"""

import base64
import contextlib
import hashlib
import io
import mimetypes
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from ._destination import SUMS, UNFINISHED, There, again, note, owner
from .account import Stopped

#: Bytes that are read at once.
BLOCK = 1 << 20
#: Parts that an upload may have, as S3 has it.
MOST_PARTS = 10_000
#: What a service answers, and what to do about it.
REMEDIES = {
    "NoSuchBucket": "there is no such bucket: make it, or mend `bucket`",
    "AccessDenied": "these credentials may not do that: let them list, read, write and delete below the prefix",
    "InvalidAccessKeyId": "it does not know these credentials: see AWS_ACCESS_KEY_ID or AWS_PROFILE, or `endpoint`",
    "SignatureDoesNotMatch": "the secret key is not that of the access key: see AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
    "ExpiredToken": "the credentials have expired: get new ones",
    "PermanentRedirect": "the bucket is in another region: mend `region`",
    "AuthorizationHeaderMalformed": "the bucket is in another region: mend `region`",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "EntityTooLarge": "a file or part is too large for it: mend `part_mib`",
}
#: The same where the answer has no body that says more.
REMEDIES |= {"403": REMEDIES["AccessDenied"], "404": REMEDIES["NoSuchBucket"], "301": REMEDIES["PermanentRedirect"]}


#: What is answered where unfinished uploads cannot be listed; then none can be gone on with.
UNLISTED = ("AccessDenied", "NotImplemented", "MethodNotAllowed", "403", "405", "501")
#: Large files that are read at a time, beside the requests.
FILES = 4


class Bucket:
    """Keys below a prefix.

    Parameters
    ----------
    bucket : str
    prefix : str
        Without slashes at its ends; may be empty.
    endpoint : str, optional
        Address of the service; None: AWS.
    region : str, optional
    part_mib : int
        Size of the parts of large files, in MiB.
    requests : int
        How many requests are under way at a time.
    """

    def __init__(self, bucket, prefix="", *, endpoint=None, region=None, part_mib=64, requests=16):
        self.bucket, self.start = bucket, f"{prefix}/" if prefix else ""
        self.endpoint, self.region = endpoint, region
        self.part, self.requests = part_mib << 20, requests
        self.before, self.begun, self._client = {}, {}, None

    def __str__(self):
        return f"s3://{self.bucket}/{self.start}".rstrip("/") + (f" at {self.endpoint}" if self.endpoint else "")

    @property
    def client(self):
        """Client of boto3, made when it is first needed."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            # services that are only compatible know neither checksums in trailers nor buckets as names of hosts
            settings = Config(
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=20,
                max_pool_connections=self.requests,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"} if self.endpoint else {},
            )
            with self._sentences():
                self._client = boto3.session.Session().client(
                    "s3", endpoint_url=self.endpoint, region_name=self.region, config=settings
                )
        return self._client

    def look(self, goods):
        """What is there (`There`): of objects with the size of the wanted ones the digest that they carry."""
        with self._sentences(), _pool(self.requests) as pool:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.start)
            found = [each for page in pages for each in page.get("Contents", ())]
            # without what some programs make to stand for folders
            listed = {each["Key"][len(self.start) :]: each for each in found if not each["Key"].endswith("/")}
            whose, self.before, unfinished = owner(lambda name: self._read(name) if name in listed else None)
            listed.pop(UNFINISHED, None)
            like = [n for n, each in listed.items() if n in goods.files and each["Size"] == goods.files[n].size]
            digests = dict(zip(like, pool.map(lambda name: self._digest(goods, name, listed[name]["ETag"]), like)))
        return There({name: digests.get(name) for name in listed}, set(self.before), whose, unfinished, [])

    def begin(self, goods, owned, about):
        """Note that an upload begins: what `owned` files are there, and what is to come."""
        with self._sentences():
            self.begun = {}
            for name, upload in self._uploads():
                # what others send here is left alone
                if name in goods.files and self.before.get(name) == goods.files[name].sha256:
                    self.begun.setdefault(name, []).append(upload)
                elif name in self.before:
                    self._call("abort_multipart_upload", name, UploadId=upload)
            self._call("put_object", UNFINISHED, Body=note(goods.files, owned, goods.whose))

    def put(self, goods, names, done):
        """Send files; ``done(number)`` is told how many are there.

        Raises
        ------
        hedgerow.account.Stopped
            The service or the network failed, or a file is not what its digest says.
        """
        large = [name for name in names if goods.files[name].size > self.part]
        small = [name for name in names if goods.files[name].size <= self.part]
        with self._sentences(), _pool(FILES) as files, _pool(self.requests) as pool:
            sent = pool.map(lambda name: self._small(goods, name), small)
            for number, _ in enumerate(chain(sent, files.map(lambda name: self._large(goods, name, pool), large)), 1):
                done(number)

    def remove(self, names):
        """Remove objects."""
        with self._sentences(), _pool(self.requests) as pool:
            # one by one: compatible services disagree on the checksum that a removal of many asks for
            list(pool.map(lambda name: self._call("delete_object", name), names))

    def end(self, goods):
        """Note that all is there."""
        self.remove([UNFINISHED])

    def _small(self, goods, name):
        """Send a file with one request, which the service refuses if other content arrives."""
        with goods.open(name) as file:
            md5s = _digests(goods, name, file, self.part)
            file.seek(0)
            self._call("put_object", name, Body=file, ContentMD5=_base64(md5s[0]), **_about(goods, name))

    def _large(self, goods, name, pool):
        """Send those parts of a file that are not there yet; an upload that was begun is gone on with."""

        def ask(operation, **more):
            return pool.submit(self._call, operation, name, **more).result()

        size = goods.files[name].size
        part = max(self.part, -(-size // MOST_PARTS))
        with goods.open(name) as file:
            md5s = _digests(goods, name, file, part)
        upload, etags = None, {}
        for begun in self.begun.get(name, ()):
            found = pool.submit(self._parts, name, begun).result()
            # of another size of parts, or changed on its way
            fits = all(n <= len(md5s) and etag == md5s[n - 1].hex() for n, etag in found.items())
            if upload is None and fits:
                upload, etags = begun, found
            else:
                ask("abort_multipart_upload", UploadId=begun)
        upload = upload or ask("create_multipart_upload", **_about(goods, name))["UploadId"]

        def send(number):
            with goods.open(name) as file:
                body = io.BufferedReader(Slice(file, (number - 1) * part, min(part, size - (number - 1) * part)))
                more = {"PartNumber": number, "ContentMD5": _base64(md5s[number - 1])}
                return self._call("upload_part", name, UploadId=upload, Body=body, **more)["ETag"].strip('"')

        sent = {number: pool.submit(send, number) for number in range(1, len(md5s) + 1) if number not in etags}
        etags |= {number: future.result() for number, future in sent.items()}
        parts = [{"PartNumber": number, "ETag": f'"{etags[number]}"'} for number in sorted(etags)]
        ask("complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts})
        found = ask("head_object")
        if (found["ContentLength"], found["Metadata"].get("sha256")) != (size, goods.files[name].sha256):
            raise Stopped(f"{name} did not arrive at {self} as it was sent: run again")

    def _uploads(self):
        """Name and identifier of each upload in parts that was begun and not ended."""
        from botocore.exceptions import ClientError

        try:
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.start)
            return [(each["Key"][len(self.start) :], each["UploadId"]) for p in pages for each in p.get("Uploads", ())]
        except ClientError as error:
            if error.response["Error"]["Code"] in UNLISTED:
                return []
            raise

    def _parts(self, name, upload):
        """ETag of each part that has arrived, by its number."""
        pages = self.client.get_paginator("list_parts").paginate(
            Bucket=self.bucket, Key=self.start + name, UploadId=upload
        )
        return {each["PartNumber"]: each["ETag"].strip('"') for page in pages for each in page.get("Parts", ())}

    def _digest(self, goods, name, etag):
        """sha256 that an object carries; of one that others sent, that of the wanted file if the MD5 says so."""
        found = self._call("head_object", name)["Metadata"].get("sha256")
        if found or "-" in etag:
            return found
        with goods.open(name) as file:
            same = hashlib.file_digest(file, _md5).hexdigest() == etag.strip('"')
        return goods.files[name].sha256 if same else None

    def _read(self, name):
        return self._call("get_object", name)["Body"].read()

    def _call(self, operation, name, **more):
        return getattr(self.client, operation)(Bucket=self.bucket, Key=self.start + name, **more)

    @contextlib.contextmanager
    def _sentences(self):
        """What boto3 raises becomes a sentence."""
        try:
            from botocore import exceptions
        except ModuleNotFoundError:
            raise Stopped("boto3 is missing, without which nothing goes to S3: pip install boto3") from None
        try:
            yield
        except exceptions.ClientError as error:
            code = str(error.response["Error"].get("Code"))
            raise Stopped(f"{self}: {code}: {REMEDIES.get(code, error)}") from None
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            remedy = "mend the network, or `endpoint`, and run again; what has arrived stays"
            raise Stopped(f"{self} cannot be reached ({error}): {remedy}") from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            remedy = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`"
            raise Stopped(f"{self}: {error}: {remedy}") from None
        except exceptions.BotoCoreError as error:
            raise Stopped(
                f"{self}: {error}: mend the configuration of AWS (~/.aws, AWS_...) or the destination"
            ) from None


class Slice(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file, first, size):
        self.file, self.first, self.size, self.at = file, first, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def readinto(self, buffer):
        self.file.seek(self.first + self.at)
        found = self.file.read(max(0, min(len(buffer), self.size - self.at)))
        buffer[: len(found)] = found
        self.at += len(found)
        return len(found)


@contextlib.contextmanager
def _pool(size):
    """Threads; after a fault nothing more is begun."""
    pool = ThreadPoolExecutor(size)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _digests(goods, name, file, part):
    """MD5 of each part of a file, at least one, as bytes; stops if its sha256 is not what it should be."""
    total, md5s, size = hashlib.sha256(), [], 0
    while block := file.read(min(BLOCK, part - size % part)):
        if size % part == 0:
            md5s.append(_md5())
        total.update(block)
        md5s[-1].update(block)
        size += len(block)
    if total.hexdigest() != goods.files[name].sha256:
        raise Stopped(f"{goods.tree / name} is not what {SUMS} says: {again(goods.tree)}")
    return [md5.digest() for md5 in md5s or [_md5()]]


def _md5(content=b""):
    return hashlib.md5(content, usedforsecurity=False)


def _base64(digest):
    return base64.b64encode(digest).decode()


def _about(goods, name):
    """What is kept with an object."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"Metadata": {"sha256": goods.files[name].sha256}, "ContentType": kind}
