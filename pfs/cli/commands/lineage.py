"""`pfs lineage PLACE`: who made it, with which command line, out of what; `--down`: what was made from it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from pfs.cli.commands.cat import pieces_of
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text
from pfs.control.wire import Json

LEVELS = ("observed", "content", "inferred", "argument", "unobserved", "unlikely", "ambient")


@click.command("lineage")
@click.argument("place", required=True)
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="At most N steps away.")
@click.option("--full", is_flag=True, help="Show processes, not jobs.")
@click.option(
    "--level", type=click.Choice(LEVELS), help="The weakest edges to follow.  [default: unobserved]"
)
@click.option("--dot", "form", flag_value="dot", help="A graph for Graphviz.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="A picture.")
@click.option("--prov", "form", flag_value="prov", help="W3C PROV-JSON.")
@click.option("--openlineage", "form", flag_value="openlineage", help="OpenLineage events, one a line.")
@click.option(
    "--ro-crate",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a Process Run Crate into DIR: what was made from what, and the bytes.",
)
@click.option(
    "--in-toto",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write in-toto links into DIR.",
)
@takes_json
@click.pass_obj
def command(
    invocation: Invocation,
    place: str,
    down: bool,
    depth: int | None,
    full: bool,
    level: str | None,
    form: str | None,
    svg: Path | None,
    ro_crate: Path | None,
    in_toto: Path | None,
) -> None:
    """Show where the file at PLACE came from, back to the raw inputs, as a stack trace."""
    arguments = {
        "place": invocation.place(place),
        "direction": "down" if down else "up",
        "depth": depth,
        "full": full,
        "level": level,
    }
    document = invocation.call("lineage", arguments)
    if svg is not None:
        from pfs.lineage.answers.answer import from_json
        from pfs.lineage.render.svg import render_svg

        svg.write_text(render_svg(from_json(document)), encoding="utf-8")
    elif ro_crate is not None:
        from pfs.lineage.render.ro_crate import write

        ro_crate.mkdir(parents=True, exist_ok=True)
        write(document, ro_crate, time.time_ns(), _reader(invocation, document))
    elif in_toto is not None:
        from pfs.lineage.render.in_toto import in_toto_links

        in_toto.mkdir(parents=True, exist_ok=True)
        for link in in_toto_links(document, _reader(invocation, document)):
            (in_toto / link.file_name).write_text(link.text, encoding="utf-8")
    elif form is not None:
        sys.stdout.write(_formatted(form, document))
    elif invocation.as_json:
        print_json(document)
    else:
        from pfs.lineage.answers.answer import from_json
        from pfs.lineage.render.text import render_text

        print_text(render_text(from_json(document)).rstrip("\n"))


def _reader(invocation: Invocation, document: Json) -> Callable[[str], Iterator[bytes] | None]:
    """Reads the bytes of a version of the answer; None where they are kept no more."""
    contents = {one["id"]: one["content"] for one in document["versions"] if one["readable"]}

    def read(version: str) -> Iterator[bytes] | None:
        content = contents.get(version)
        if content is None:
            return None
        return pieces_of(invocation, "content", {"content": content}) if content else iter(())

    return read


def _formatted(form: str, document: Json) -> str:
    if form == "dot":
        from pfs.lineage.answers.answer import from_json
        from pfs.lineage.render.dot import render_dot

        return render_dot(from_json(document))
    if form == "prov":
        from pfs.lineage.render.prov import prov_json

        return prov_json(document)
    from pfs.lineage.render.openlineage import openlineage

    return openlineage(document)
