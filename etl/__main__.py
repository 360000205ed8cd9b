"""`python -m etl`, and the script `gumloop-etl`.

Ctrl-C ends the process at once, without Python's traceback, before the first module loads. What
must be cleared away or saved has handlers of its own: see `etl.cli.signals`.
"""

# Built in, so it has no stub; the module `signal` itself takes a while to load.
import _signal  # type: ignore[import-not-found]

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from etl.cli import entry

if __name__ == "__main__":
    entry()
