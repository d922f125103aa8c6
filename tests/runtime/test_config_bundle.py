"""What judges may stand in the settings, before any table."""

from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.config import RunConfig
from linegate_runtime.config_file import Overrides, load_config


def load(folder: Path, text: str, overrides: Overrides | None = None) -> RunConfig:
    path = folder / "line.toml"
    path.write_text(text)
    return load_config(path, overrides or Overrides())


def test_a_bundle_may_stand_at_the_head_and_the_command_lines_comes_first(tmp_path: Path) -> None:
    text = 'bundle = "cells.linegate"\n[camera]\naddress = "0"\n'
    assert load(tmp_path, text).bundle == tmp_path / "cells.linegate"
    overrides = Overrides(bundle=Path("other.linegate"))
    assert load(tmp_path, text, overrides).bundle == Path("other.linegate").absolute()
    assert load(tmp_path, '[camera]\naddress = "0"\n').bundle is None
    with pytest.raises(ConfigError, match=r"line 1: bundle: expected a path between quotes, got 3"):
        load(tmp_path, 'bundle = 3\n[camera]\naddress = "0"\n')
