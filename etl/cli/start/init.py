"""`init`: a commented configuration."""

import argparse
import shlex

from etl.cli.common import print_stderr
from etl.errors import ConfigError
from etl.input.config_file import find_config
from etl.invocation import find_resource, program_name

NAME = "init"
HELP = "write a commented config.toml; never overwrites"


def configure(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(args: argparse.Namespace) -> int:
    """Write the example, every key with its default."""
    path = find_config(args.config)
    example = find_resource("config.example.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(example)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists already", "it was left as it is; --config names another"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    print(f"wrote {path}")
    print_stderr("next: set GUMLOOP_ACCESS_TOKEN, add your agents there (see [discovery]), then")
    config = f"--config {shlex.quote(args.config)} " if args.config else ""
    print_stderr(f"  {program_name()} {config}check")
    return 0
