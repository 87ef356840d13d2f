"""HTML files that make no request: the head with its policy, and the two scripts that draw the charts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import vl_convert

from optwise.report.drawing import SCHEMA
from optwise.report.themes import theme_css
from optwise.report.words import escape

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def html_file(title: str, body: str) -> str:
    """A whole HTML file around a body whose text is already escaped.

    A content security policy admits no other script than the two whose hashes it names, and lets nothing be fetched.

    Args:
        title: Of the window, plain text.
        body: What stands inside ``main``, as HTML.
    """
    scripts = [_bundle(), _packaged("page.js")]
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{theme_css()}{_packaged('page.css')}</style></head>\n"
    )
    last = "".join(f"<script>{script}</script>\n" for script in scripts)
    return f"{head}<body><main>\n{body}</main>\n{last}</body></html>\n"


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    # charts carry style attributes of their own, so inline styles stay allowed; nothing may be fetched
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


@cache
def _bundle() -> str:
    bundle: str = vl_convert.javascript_bundle(snippet=_SNIPPET, vl_version=SCHEMA)
    return bundle


@cache
def _packaged(name: str) -> str:
    return files("optwise.report").joinpath(name).read_text(encoding="utf-8")
