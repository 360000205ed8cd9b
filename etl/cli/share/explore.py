"""`explore`: the database in a browser."""

import argparse
import errno
import socket
from contextlib import suppress
from pathlib import Path

from etl.cli.common import load_settings, print_stderr
from etl.cli.signals import raise_on_signals
from etl.errors import ConfigError
from etl.invocation import require_extra

NAME = "explore"
HELP = "look at the SQLite database in a browser, read-only, until SIGTERM or SIGINT"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=int, default=8001, help="port; 0 takes a free one (default: 8001)"
    )
    parser.add_argument("--open", action="store_true", help="open the browser")


def run(args: argparse.Namespace) -> int:
    """Serve the database until a signal ends it."""
    file = _find_database(load_settings(args).database.url)
    require_extra("explore", "explore", "datasette")
    from etl.analytics.explore import make_explorer, serve
    from etl.analytics.schema_docs import read

    # uvicorn raises the signal that ended it once more, when all is closed.
    with _open_socket(args.host, args.port) as listening, raise_on_signals():
        with suppress(KeyboardInterrupt):
            app = make_explorer(file, read())
            port = listening.getsockname()[1]
            host = f"[{args.host}]" if ":" in args.host else args.host
            url = f"http://{host}:{port}{app.urls.database(file.stem)}"
            _announce(file, url, args)
            serve(app, listening)
    return 0


def _announce(file: Path, url: str, args: argparse.Namespace) -> None:
    if args.host not in LOOPBACK:
        print_stderr("warning: there is no password: whoever reaches it reads it")
    print(f"{file} is at {url} (Ctrl-C ends it)", flush=True)
    if args.open:
        import webbrowser

        webbrowser.open(url)


def _find_database(url: str) -> Path:
    """The SQLite file. Raises ConfigError, StoreError or SchemaMismatch."""
    from etl.store.read.status import require_schema_of
    from etl.store.schema.engine import open_temporary_engine
    from etl.store.schema.url import parse_url

    with open_temporary_engine(url, only_reads=True) as engine:
        if engine.dialect.name != "sqlite":
            hint = 'README.md, "Dashboards and files": Metabase and Grafana read the same tables'
            raise ConfigError("explore shows SQLite files, and database.url names PostgreSQL", hint)
        require_schema_of(engine, url)
    file = Path(parse_url(url).database or "")
    if set("?#%") & set(str(file)):
        raise ConfigError(f"Datasette can't open {file}: ?, # or % in its path", "rename it")
    return file


def _open_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_host = getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        hint = "--host wants an address of this machine"
        hint = hint if is_host else "--port takes another one, 0 a free one"
        raise ConfigError(f"can't listen on {host} port {port}: {reason}", hint) from None
