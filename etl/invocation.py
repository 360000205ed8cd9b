"""How the program was started and installed, so that hints name what a person can type here."""

import sys
from pathlib import Path
from typing import Final

__all__ = ["install_hint", "program_name"]

PACKAGE: Final = "gumloop-etl"
CHECKOUT: Final = Path(__file__).resolve().parent.parent


def program_name() -> str:
    """`gumloop-etl` if it was started by that name, else `python -m etl`."""
    return PACKAGE if Path(sys.argv[0]).stem == PACKAGE else "python -m etl"


def install_hint(extra: str) -> str:
    """How to install an extra: from the checkout that the package lies in, else by its name."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"pip install '.[{extra}]' in the project's folder"
    return f"pip install '{PACKAGE}[{extra}]'"
