"""Text files that people wrote, with whatever editor."""

import codecs
from pathlib import Path


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark, as Windows writes both.

    A byte order mark is left out, and a line ends with a single newline. Raises OSError and
    UnicodeDecodeError.
    """
    data = path.read_bytes()
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_wide else "utf-8-sig")
    return text.replace("\r\n", "\n")
