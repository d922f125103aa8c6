"""The stream format of network cameras: HTTP's answer, then JPEG files between boundaries.

Pure functions of bytes, without any socket. They take what cameras send
(``multipart/x-mixed-replace``, by RFC 2046 with the usual liberties) and refuse
everything else with a :class:`~linegate_bundle.errors.CameraError`; sizes are
bounded, so no server can fill the memory.
"""

import dataclasses
import re

from linegate_bundle.errors import CameraError

LARGEST_HEAD = 16 * 1024
"""Bytes of an HTTP answer's head, or of a part's."""

LARGEST_PART = 32 * 1024 * 1024
"""Bytes of one picture."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,256})"|([^\s;"]{1,256}))', re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,9}")


@dataclasses.dataclass(frozen=True)
class Answer:
    """The head of an HTTP answer.

    Attributes:
        status: such as 200.
        reason: the words after it.
        headers: values by name in lower case.
    """

    status: int
    reason: str
    headers: dict[str, str]


def parse_answer(head: bytes) -> Answer:
    """Read the head of an HTTP answer, without the empty line at its end."""
    first, _, rest = head.partition(b"\n")
    match = _STATUS.fullmatch(first.rstrip(b"\r"))
    if match is None:
        raise CameraError(f"expected an HTTP answer, got {_excerpt(first)}")
    return Answer(
        status=int(match[1]),
        reason=(match[2] or b"").decode("latin-1"),
        headers=_headers(rest.splitlines()),
    )


def boundary_of(answer: Answer) -> bytes:
    """Return the boundary that an answer announces.

    Raises:
        CameraError: the answer is no stream of pictures.
    """
    kind = answer.headers.get("content-type", "nothing")
    if answer.status != 200:  # noqa: PLR2004 - the one status that carries a stream
        raise CameraError(f"expected a stream, got HTTP {answer.status} {answer.reason}".rstrip())
    match = _BOUNDARY.search(kind)
    if not kind.lower().startswith("multipart/") or match is None:
        raise CameraError(
            f"expected an MJPEG stream (multipart/x-mixed-replace with a boundary), got {kind}; "
            "if it is video of another kind, try the source opencv"
        )
    return (match[1] or match[2]).encode("latin-1")


class MultipartParser:
    """Cuts a stream into its parts, fed with bytes as they come.

    Args:
        boundary: as announced; cameras that count the two dashes in are understood.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiters = (b"--" + boundary.removeprefix(b"--"), b"--" + boundary)
        self._used = self._delimiters[0]
        self._buffer = bytearray()
        self._searched = 0
        self._length: int | None = None
        self._is_in_body = False
        self.is_over = False

    @property
    def has_begun_a_body(self) -> bool:
        """Whether the first bytes of a part's body are here, and not yet all."""
        return self._is_in_body and bool(self._buffer)

    def feed(self, content: bytes) -> list[bytes]:
        """Take more bytes and return the bodies of the parts that are now complete.

        Raises:
            CameraError: the bytes are no such stream, or a part is too large.
        """
        self._buffer += content
        parts: list[bytes] = []
        while not self.is_over:
            if not self._is_in_body:
                if not self._read_head():
                    break
            else:
                part = self._read_body()
                if part is None:
                    break
                parts.append(part)
        return parts

    def _read_head(self) -> bool:
        """Read boundary and headers; False if they are not complete."""
        head = bytes(self._buffer[: LARGEST_HEAD + 4])
        text = head.lstrip(b"\r\n")
        delimiter = self._match_delimiter(text)
        if delimiter is None:
            return False
        self._used = delimiter
        rest = text[len(delimiter) :]
        if rest.startswith(b"--"):
            self.is_over = True
            return False
        line, _, after = rest.partition(b"\n")
        end = _end_of_head(after)
        if end is None:
            if len(head) > LARGEST_HEAD:
                raise CameraError(f"expected a part's head of at most {LARGEST_HEAD} bytes")
            return False
        if line.strip():
            raise CameraError(f"expected the end of a line after a boundary, got {_excerpt(line)}")
        headers = _headers(after[: end[0]].splitlines())
        self._length = _length(headers.get("content-length"))
        del self._buffer[: len(head) - len(after) + end[1]]
        self._is_in_body = True
        self._searched = 0
        return True

    def _match_delimiter(self, text: bytes) -> bytes | None:
        for delimiter in self._delimiters:
            # Longer by two, so that the closing boundary is told from an opening one.
            if text.startswith(delimiter) and len(text) >= len(delimiter) + 2:
                return delimiter
        if any(delimiter.startswith(text[: len(delimiter)]) for delimiter in self._delimiters):
            return None
        raise CameraError(
            f"expected the boundary {_excerpt(self._delimiters[0])}, got {_excerpt(text)}"
        )

    def _read_body(self) -> bytes | None:
        if self._length is not None:
            if len(self._buffer) < self._length:
                return None
            return self._take(self._length)
        # Without a length the part ends where the next one begins.
        mark = b"\n" + self._used
        found = self._buffer.find(mark, self._searched)
        if found < 0:
            self._searched = max(0, len(self._buffer) - len(mark))
            if len(self._buffer) > LARGEST_PART:
                raise CameraError(f"expected pictures of at most {LARGEST_PART} bytes")
            return None
        is_crlf = found > 0 and self._buffer[found - 1] == ord("\r")
        return self._take(found - 1 if is_crlf else found)

    def _take(self, length: int) -> bytes:
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._is_in_body = False
        return body


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise CameraError(f"expected a header `Name: value`, got {_excerpt(line)}")
        headers[match[1].decode("latin-1").lower()] = match[2].decode("latin-1")
    return headers


def _end_of_head(text: bytes) -> tuple[int, int] | None:
    """Return where headers end and where the body begins; None if the empty line is not there."""
    match = re.search(rb"(?:\A|(?<=\n))\r?\n", text)
    return None if match is None else (match.start(), match.end())


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if _LENGTH.fullmatch(text) is None or int(text) > LARGEST_PART:
        raise CameraError(f"expected a Content-Length of at most {LARGEST_PART}, got {text!r}")
    return int(text)


def _excerpt(content: bytes) -> str:
    return repr(bytes(content[:60]))
