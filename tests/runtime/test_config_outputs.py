"""Outputs in a configuration: all their mistakes, and never their secrets."""

from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.config_file import Overrides, load_config


def test_mistakes_of_all_outputs_are_named_at_once_and_secrets_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "line.toml"
    file.write_text(
        '[camera]\naddress = "x"\n'
        '[[sink]]\nkind = "http"\nurl = "ftp://host/"\npayload = "{verdict} {weight}"\n'
        '[[sink]]\nkind = "mqtt"\naddress = "host"\ntopic = "a/#"\npassword = "hush"\n'
        '[[sink]]\nkind = "gpio"\npin = 17\nmode = "reject"\n'
        '[[sink]]\nkind = "modbus"\n'
        '[[sink]]\nkind = "csv"\npath = "a.csv"\ncolour = "red"\n'
        '[[sink]]\nkind = "csv"\npath = "b.csv"\n'
        '[[sink]]\nkind = "csv"\npath = "c.csv"\n'
    )
    config = load_config(file, Overrides())
    with pytest.raises(ConfigError) as caught:
        config.check_plugins()
    text = str(caught.value)
    for said in (
        "line 5: [[sink]] 1 url: expected",
        "line 6: [[sink]] 1 payload: expected",
        "weight",
        "line 10: [[sink]] 2 topic: expected a topic without the wildcards",
        "[[sink]] 2 password: expected a user with it",
        "[[sink]] 3 heartbeat_pin: expected a pin in mode",
        "[[sink]] 4",
        "[[sink]] 5 colour: unknown key; valid are: name, path, max_mb, keep",
        "[[sink]] 7 name: expected a name of its own for each sink, 'csv' is taken",
    ):
        assert said in text, (said, text)
    assert "hush" not in text
