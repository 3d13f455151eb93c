"""PDF bytes from a document's content, in Japanese or English; the same content gives the same bytes."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pylopdf_fonts_jp
import typst

from billing.core import calendar
from billing.core.errors import SekisuError
from workers.papers import words

_FOLDER = Path(__file__).parent


class RenderError(SekisuError):
    """The page cannot be set; that is a fault of the template or of the installation."""

    code = "render"


def pdf(content: Mapping[str, Any], language: str) -> bytes:
    """A document as PDF. Raises RenderError."""
    return page("document.typ", words.view(content, language), calendar.read(content["issued_at"]))


def page(template: str, view: Mapping[str, Any], at: datetime) -> bytes:
    """A page of this folder filled with `view`, dated `at`; fonts are those of the package, whatever the machine has.

    Raises RenderError.
    """
    try:
        compiler = typst.Compiler(_template(template), font_paths=_fonts(), ignore_system_fonts=True)
        made = compiler.compile(format="pdf", sys_inputs={"view": json.dumps(view)}, timestamp=int(at.timestamp()))
    except (typst.TypstError, OSError) as fault:
        raise RenderError(f"the page {template} cannot be set: {fault}") from fault
    if not isinstance(made, bytes):
        raise RenderError(f"the page {template} gave no bytes")
    return made


@cache
def _template(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


@cache
def _fonts() -> typst.Fonts:
    folder = str(pylopdf_fonts_jp.sans_path().parent)
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
