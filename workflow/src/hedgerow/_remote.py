"""Bytes of a file by path or URL, whole or in part: the door through which stores are read.

http and https are asked with connections that are kept (through the proxies that the environment names); other schemes
go through fsspec where that is installed. A server that stalls, breaks off or is overburdened is asked again a few
times, with longer and longer waits; what it refuses for good is told at once.
"""

import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

#: How often a file is asked for before it is given up.
TRIES = 5
#: Seconds without a byte after which a server counts as stalled.
TIMEOUT = 30.0
#: Bytes per second below which, after `TIMEOUT`, it counts as stalled too.
SLOWEST = 1000
#: Connections to one server at a time.
CONNECTIONS = 16
#: Seconds before the second try; each further wait is twice as long, up to `LONGEST`.
WAIT, LONGEST = 0.5, 30.0
#: What a server says when it may have the file later.
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)

_pools = {}


class Unavailable(OSError):
    """A file that cannot be had: it is not there, may not be read, or its server does not give it."""


class _Again(Exception):
    """What may go well the next time; `after`: seconds that the server wants to be left alone."""

    def __init__(self, why, after=0.0):
        super().__init__(why)
        self.after = after


def is_url(place):
    """Whether a place is a URL rather than a path."""
    return "://" in str(place)


def join(folder, name):
    """Place of a file `name` (with slashes) in a folder, which is a path or a URL."""
    return f"{str(folder).rstrip('/')}/{_quoted(name)}" if is_url(folder) else os.path.join(folder, name)


def _quoted(name):
    from urllib.parse import quote

    return quote(name)


def get(place, *, start=0, stop=None, timeout=None):
    """Bytes of a file.

    Parameters
    ----------
    place : path or str
        A path, or a URL.
    start, stop : int
        First byte, and the one after the last; None: to the end. A server that does not know ranges gives the whole
        file, of which the part is taken.
    timeout : float, optional
        Instead of `TIMEOUT`, in s.

    Returns
    -------
    bytes

    Raises
    ------
    Unavailable
        Names the place, what was said and what to do.
    """
    if not is_url(place):
        return _local(place, start, stop)
    scheme = str(place).split("://")[0]
    if scheme == "file":
        from urllib.request import url2pathname

        return _local(url2pathname(str(place).removeprefix("file://")), start, stop)
    if scheme not in ("http", "https"):
        return _other(str(place), scheme, start, stop)
    for number in range(TRIES):
        try:
            return _ask(str(place), start, stop, timeout or TIMEOUT)
        except _Again as error:
            said, after = error, error.after
        if number + 1 < TRIES:
            time.sleep(min(max(WAIT * 2**number, after), LONGEST))
    raise Unavailable(f"{place} cannot be had, after {TRIES} tries ({said}): try later, or ask who publishes it")


def _local(path, start, stop):
    try:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)
    except FileNotFoundError:
        raise Unavailable(f"{path} is not there: mend the path, or make the file") from None
    except PermissionError:
        raise Unavailable(f"{path} may not be read: ask for the right to") from None


def _other(url, scheme, start, stop):
    """Through fsspec, whose file systems try again by themselves."""
    try:
        import fsspec

        return fsspec.open(url).fs.cat_file(url, start=start, end=stop)
    except (ImportError, ValueError) as error:
        raise Unavailable(f"{url}: {scheme}:// needs fsspec and its package ({error}): install them") from None
    except FileNotFoundError:
        raise Unavailable(f"{url} is not there: mend the URL") from None


def _ask(url, start, stop, timeout):
    """One request; `_Again` where another may go well."""
    import urllib3

    part = {} if not start and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
    try:
        once = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=5)
        answer = _pool(url).request("GET", url, headers=part, preload_content=False, timeout=timeout, retries=once)
    except urllib3.exceptions.LocationParseError as error:
        raise Unavailable(f"{url} is no URL ({error}): mend it") from None
    except urllib3.exceptions.HTTPError as error:
        raise _Again(_words(error)) from None
    try:
        _judge(url, answer)
        content = _body(answer, timeout)
    except urllib3.exceptions.HTTPError as error:
        answer.close()
        raise _Again(_words(error)) from None
    except BaseException:
        answer.close()  # a connection with the rest of an answer in it is of no use
        raise
    answer.release_conn()
    if part and answer.status == 200:
        return content[start:stop]
    return content


def _judge(url, answer):
    """Refuse what a server says, for good or for now."""
    status = answer.status
    if status in (200, 206):
        return
    if status in TEMPORARY:
        raise _Again(f"the server said {status} {answer.reason}", _after(answer.headers.get("Retry-After")))
    if status in (404, 410):
        raise Unavailable(f"{url} is not there ({status}): mend the URL")
    if status in (401, 403):
        raise Unavailable(f"{url} may not be read ({status}): ask who publishes it")
    raise Unavailable(f"{url} is not given: the server said {status} {answer.reason}")


def _body(answer, timeout):
    """All bytes of an answer; `_Again` where it is cut off, or trickles."""
    began, pieces, got = time.monotonic(), [], 0
    while piece := answer.read(1 << 20):
        pieces.append(piece)
        got += len(piece)
        if time.monotonic() - began > timeout + got / SLOWEST:
            raise _Again(f"no more than {got} bytes came in {time.monotonic() - began:.0f} s")
    promised = answer.headers.get("Content-Length")
    if promised is not None and got != int(promised):
        raise _Again(f"{got} of {promised} bytes came")
    return b"".join(pieces)


def _after(text):
    """Seconds in a header ``Retry-After``, which is a number or a date."""
    if not text:
        return 0.0
    if text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def _words(error):
    """What urllib3 has to say, without its objects."""
    return str(error).rsplit(">: ", 1)[-1].rsplit("): ", 1)[-1]


def _pool(url):
    """Connections of this process (a fork must not use those of its parent), direct or through a proxy."""
    import urllib3

    scheme, _, rest = url.partition("://")
    host = rest.split("/")[0].rpartition("@")[2].split(":")[0]
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    key = (os.getpid(), proxy)
    if key not in _pools:
        size = {"maxsize": CONNECTIONS, "num_pools": 4}
        _pools[key] = urllib3.ProxyManager(proxy, **size) if proxy else urllib3.PoolManager(**size)
    return _pools[key]
