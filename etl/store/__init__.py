"""The database: tables, migrations, and every statement that the program makes."""

import sys

# With Mako, which Alembic loads, comes pygments where it is installed: 40 ms of a first start.
# Mako is prepared to do without.
sys.modules.setdefault("mako.ext.pygmentplugin", None)  # type: ignore[arg-type]
