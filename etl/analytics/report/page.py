"""The page: one HTML file that asks nothing of the network, and forbids itself to.

The content security policy names the hash of each script and of the style; so no text of the
database, whatever it is, can run, load or restyle anything.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etl import __version__
from etl.analytics.report.chart_data import draw_charts
from etl.analytics.report.charts import Spec
from etl.analytics.report.load_figures import Figures
from etl.analytics.report.view import make_view

DIRECTION_MARKS: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of text: in a name they would turn the figures beside it."""

VEGA_LITE_VERSION: Final = "6.4"
"""The version of Vega-Lite that Altair 6 writes for."""


def render(figures: Figures) -> str:
    """The whole page."""
    drawn = draw_charts(figures)
    style = _load_resource("page.css")
    scripts = [_load_library(), _load_resource("page.js")] if drawn else []
    page: str = _load_template().render(
        view=make_view(figures),
        drawings=drawn,
        specs=_dump_specs({id: drawing.spec for id, drawing in drawn.items()}),
        style=style,
        scripts=scripts,
        policy=_make_policy(style, scripts),
        made=figures.options.to_wall(figures.options.now),
        version=__version__,
    )
    return page


def _load_template() -> Any:
    environment = Environment(
        loader=PackageLoader("etl.analytics.report", "template"),
        autoescape=True,
        finalize=_straighten,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _straighten(value: Any) -> Any:
    """Drop the marks of direction; our own text, which is marked safe, has to keep its hash."""
    is_foreign = isinstance(value, str) and not isinstance(value, Markup)
    return DIRECTION_MARKS.sub("", value) if is_foreign else value


@cache
def _load_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE_VERSION)
    return _make_inline(bundle)


def _load_resource(name: str) -> str:
    return _make_inline(
        files("etl.analytics.report").joinpath("template", name).read_text(encoding="utf-8")
    )


def _make_inline(text: str) -> str:
    """Text that an HTML parser takes as it is, so that its hash is the one in the policy."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unified.replace("</script", r"<\/script").replace("<!--", r"\x3c!--")


def _dump_specs(specs: Mapping[str, Spec]) -> str:
    """JSON that can stand in a script element: ASCII alone, and no tag begins in it."""
    straight = json.loads(DIRECTION_MARKS.sub("", json.dumps(specs, ensure_ascii=False)))
    text = json.dumps(straight, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _make_policy(style: str, scripts: list[str]) -> str:
    allowed = " ".join(map(_hash, scripts)) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
