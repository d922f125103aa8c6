"""Verdicts to a web server: one POST a part, signed, with the part's UUID as its key.

What the server answers decides:

============================  ==================================================================
200 to 299, 409               it has the part; 409 says that it had it already
408, 425, 429, 500 to 599     not now: the part is offered again
anything else, redirects too  it refuses; the part is offered again, for who sets the server
                              right must not lose it
============================  ==================================================================

A redirect is not followed: it could carry verdicts and headers to another machine. Neither is a
proxy used. A part may come twice, as after an answer that was lost on its way: ``Idempotency-Key``
is its UUID. How a receiver checks the signature stands in :mod:`linegate_runtime.sinks.signature`.
"""

import collections
import http.client
import re
import ssl
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime import __version__
from linegate_runtime.security import file_problems, read_secret, tls_context, tls_failure
from linegate_runtime.sinks.base import Sink, SinkOptions
from linegate_runtime.sinks.http_channel import Answer, Channel
from linegate_runtime.sinks.payload import template_problems, writer
from linegate_runtime.sinks.signature import HEADER, sign

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

_PORTS = {"http": 80, "https": 443}

_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "transfer-encoding",
        HEADER.lower(),
    }
)
"""What the sink says itself, in lower case."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")

_HAS_IT = 409
_NOT_NOW = frozenset({408, 425, 429})

_REMEMBERED = 4096
"""So many of the newest parts are not sent again once they are acknowledged."""

_SHORTEST_SECRET = 4
"""Characters; shorter words of headers are not looked for in answers."""

_EXCERPT_CHARACTERS = 200


class HttpOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the sink http.

    Attributes:
        url: ``http://`` or ``https://``, without user and password.
        secret: signs requests; None signs none.
        secret_file: file with the secret alone in it; one of the two at most.
        ca: file with the authorities to trust, PEM; None trusts those of the system.
        headers: more of them, such as an ``Authorization``.
        payload: template of the body, see :mod:`linegate_runtime.sinks.payload`; None sends a
            JSON object.
        content_type: of the body.
        timeout_s: for a whole request, from the connection to the answer's end.
    """

    url: str
    secret: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    secret_file: Path | None = None
    ca: Path | None = None
    headers: Mapping[str, str] = {}
    payload: str | None = None
    content_type: str = "application/json"
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 10.0

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        found = file_problems({"ca": self.ca, "secret_file": self.secret_file})
        found.update(template_problems(self.payload))
        problem = _url_problem(self.url)
        if problem is not None:
            found["url"] = problem
        elif self.ca is not None and not self.url.lower().startswith("https"):
            found["ca"] = "expected an address https:// with it, got http://"
        if self.secret is not None and self.secret_file is not None:
            found["secret_file"] = "expected a secret or a file with it, got both"  # noqa: S105
        for name, value in self.headers.items():
            # Values are not repeated: they may be secret.
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                found["headers"] = f"expected names and ASCII values, got {name!r} with others"
            elif name.lower() in _OWN_HEADERS:
                found["headers"] = f"expected headers that linegate does not set, got {name!r}"
        if not _HEADER_VALUE.fullmatch(self.content_type):
            found["content_type"] = f"expected an ASCII text, got {self.content_type!r}"
        return found


class HttpSink(Sink[HttpOptions]):
    """Posts verdicts; see the module and :class:`HttpOptions`.

    A part that was acknowledged is not sent again, should it be offered again; of those before
    the newest 4096 nothing is remembered.
    """

    Options: ClassVar[type[SinkOptions]] = HttpOptions
    batch: ClassVar[int] = 1

    def __init__(self, options: HttpOptions) -> None:
        problem = _url_problem(options.url)
        if problem is not None:
            raise ConfigError(f"url: {problem}")
        try:
            self._write = writer(options.payload)
        except ValueError as error:
            raise ConfigError(f"payload: {error}") from error
        url = urllib.parse.urlsplit(options.url)
        host = url.hostname or ""
        # Queries may hold keys.
        self._title = f"{url.scheme}://{url.netloc}{url.path}"
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._timeout_s = options.timeout_s
        self._secret = read_secret(options.secret, options.secret_file)
        self._headers = {
            **options.headers,
            "Host": url.netloc,
            "Content-Type": options.content_type,
            "User-Agent": f"linegate/{__version__}",
        }
        self._hidden = [] if self._secret is None else [self._secret.decode("utf-8", "replace")]
        words = " ".join(options.headers.values()).split()
        self._hidden += [word for word in words if len(word) >= _SHORTEST_SECRET]
        tls = tls_context(options.ca, None, None) if url.scheme == "https" else None
        port = url.port or _PORTS[url.scheme]
        self._channel = Channel(host, port, tls, options.timeout_s)
        self._acknowledged: collections.OrderedDict[str, None] = collections.OrderedDict()

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        for part in parts:
            if part.row.uuid in self._acknowledged:
                continue
            self._judge(self._post(part))
            self._acknowledged[part.row.uuid] = None
            if len(self._acknowledged) > _REMEMBERED:
                self._acknowledged.popitem(last=False)

    def close(self) -> None:
        """Cut the connection; a second call does nothing."""
        self._channel.close()

    def _post(self, part: "Recorded") -> Answer:
        body = self._write(part)
        headers = self._headers | {"Idempotency-Key": part.row.uuid}
        if self._secret is not None:
            # Signed anew with every attempt: what was signed an hour ago would be refused.
            headers[HEADER] = sign(self._secret, body, time.time())
        deadline = time.monotonic() + self._timeout_s
        try:
            return self._channel.post(self._target, body, headers, deadline)
        except OutputError as error:
            raise OutputError(f"{self._title}: {error}") from None
        except TimeoutError:
            raise OutputError(
                f"{self._title}: no whole answer within {self._timeout_s:g} s; check that it "
                "runs and is not overloaded"
            ) from None
        except ssl.SSLError as error:
            raise OutputError(f"{self._title}: {tls_failure(error)}") from error
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{self._title}: {reason}; check the address and that it runs"
            ) from error
        except http.client.HTTPException as error:
            raise OutputError(
                f"{self._title}: expected an answer in HTTP, got {type(error).__name__}; check "
                "the address, and whether it is https"
            ) from error

    def _judge(self, answer: Answer) -> None:
        """Raise an OutputError unless the server has the part."""
        status = answer.status
        if 200 <= status < 300 or status == _HAS_IT:  # noqa: PLR2004
            return
        said = f"{status} {answer.reason}"
        if 300 <= status < 400:  # noqa: PLR2004
            place = answer.location.partition("?")[0]
            raise OutputError(
                f"{self._title} refuses it: {self._clean(said)}; redirects are not followed; if "
                f"{self._clean(place) or 'another address'} is right, write it into url"
            )
        excerpt = self._clean(answer.body.decode("utf-8", "replace"))
        said = self._clean(said) + (f", {excerpt!r}" if excerpt else "")
        if status in _NOT_NOW or 500 <= status < 600:  # noqa: PLR2004
            raise OutputError(f"{self._title} cannot take it now: {said}; see the server's log")
        raise OutputError(
            f"{self._title} refuses it: {said}; check url, headers, secret, the clocks of both "
            "machines, and that it takes this payload"
        )

    def _clean(self, text: str) -> str:
        """Return the begin of what a server said, without secrets that it repeats."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        printable = "".join(one if one.isprintable() else " " for one in text)
        return printable[:_EXCERPT_CHARACTERS].strip()


def _url_problem(text: str) -> str | None:
    """Return what is wrong with an address, without repeating it: it may hold a password."""
    expected = "expected http://HOST/PATH or https://HOST/PATH"
    if not text.isascii() or not text.isprintable() or " " in text:
        return f"{expected} in ASCII without blanks, got others; write them as %XX"
    try:
        url = urllib.parse.urlsplit(text)
        port = url.port
    except ValueError:
        return f"{expected}, got one whose host or port is wrong"
    if url.scheme not in _PORTS or not url.hostname or url.fragment or port == 0:
        return f"{expected}, got another form"
    if "@" in url.netloc:
        return f"{expected}, got one with a user; write an Authorization into headers instead"
    return None
