"""The log: plain lines for people, or one JSON object a line for programs."""

import datetime as dt
import logging
import sys

import msgspec


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, and its fields.

    Fields are what the caller gave as ``extra={"fields": {...}}``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        time = dt.datetime.fromtimestamp(record.created, dt.UTC)
        document: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update(getattr(record, "fields", {}))
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(document, enc_hook=str).decode()


def set_up_log(*, debug: bool, as_json: bool) -> None:
    """Send the log to standard error, plainly or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("linegate: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler])


def is_json_wanted() -> bool:
    """Say whether the log is for programs."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.root.handlers)
