"""How the program was started and installed, so that hints name what a person can type here."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from etl.errors import ConfigError

PACKAGE: Final = "gumloop-etl"
CHECKOUT: Final = Path(__file__).resolve().parent.parent


def find_resource(*parts: str) -> Path:
    """A file or folder of the project: inside the package in a wheel, in a checkout beside it."""
    inside = Path(__file__).resolve().parent.joinpath(*parts)
    return inside if inside.exists() else CHECKOUT.joinpath(*parts)


def program_name() -> str:
    """`gumloop-etl` if it was started by that name, else `python -m etl`."""
    return PACKAGE if Path(sys.argv[0]).stem == PACKAGE else "python -m etl"


def install_hint(extra: str) -> str:
    """How to install an extra: from the checkout that the package lies in, else by its name."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"pip install '.[{extra}]' in the project's folder"
    return f"pip install '{PACKAGE}[{extra}]'"


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Raise ConfigError unless the modules of an extra, which `what` needs, can be imported."""
    for module in modules:
        try:
            import_module(module)
        except ImportError:
            message = f"{what} needs {module}, which isn't installed"
            raise ConfigError(message, install_hint(extra)) from None
