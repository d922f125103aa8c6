"""Keras' own download of ImageNet weights, with a message that helps where there is no network."""

import contextlib
import os
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from linegate_bundle.errors import ConfigError

_FAILURE = re.compile(r"URL fetch failure on (?P<address>\S+): (?P<reason>.*)", re.DOTALL)
"""How ``keras.utils.get_file`` says it."""


@contextlib.contextmanager
def imagenet_download(network: str) -> Iterator[None]:
    """Turn a failure of what Keras downloads inside the block into a message that helps.

    Raises:
        ConfigError: the download failed, or Keras has no such weights.
    """
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"the ImageNet weights of {network}: {error}") from error
    except Exception as error:  # Keras raises plain exceptions
        failure = _FAILURE.match(str(error))
        if failure is None and not isinstance(error, OSError):
            raise
        raise ConfigError(_advice(network, failure, error)) from error


def _advice(network: str, failure: re.Match[str] | None, error: Exception) -> str:
    address = urllib.parse.urlsplit(failure["address"] if failure else "")
    file = Path(address.path).name or "the file of weights without top"
    reason = failure["reason"].removeprefix("None -- ") if failure else str(error)
    return (
        f"the ImageNet weights of {network} are downloaded by Keras, and {file} did not come "
        f"from {address.hostname or 'its server'} ({reason}); on a machine with network, fetch "
        f"that file and give it with --weights FILE, or put it into {keras_cache()}; or train from "
        "scratch with --weights none"
    )


def keras_cache() -> Path:
    """Return the folder in which Keras looks for weights before it downloads them."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
