"""Compilers, linkers and git: many processes, files that come and go, data that passes outside."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tests.mounted.lineage_scenarios.scenario import At, Made, Scenario, made, run, scenario, write

UNITS = 29  # and main.c
IN_LIBRARY = range(15)
OTHERS = range(15, UNITS)

MAKEFILE = f"""
LIBRARY = {" ".join(f"unit{number}.o" for number in IN_LIBRARY)}
OTHERS = main.o {" ".join(f"unit{number}.o" for number in OTHERS)}
prog: $(OTHERS) libunits.a
\tgcc -o $@ $(OTHERS) libunits.a
libunits.a: $(LIBRARY)
\tar rcs $@ $(LIBRARY)
%.o: %.c
\tgcc -O0 -MMD -I. -c -o $@ $<
"""


def headers(number: int) -> list[str]:
    return ["common.h", "odd.h"] if number % 2 else ["common.h"]


def unit(number: int) -> str:
    includes = "".join(f'#include "{name}"\n' for name in headers(number))
    more = " + ODD" if number % 2 else ""
    return f"{includes}int unit{number}(void) {{ return COMMON + {number}{more}; }}\n"


@scenario
class Make(Scenario):
    """`make -j4` of thirty C files with a static library: each object from its own source and headers."""

    def prepare(self, at: At) -> None:
        calls = "+".join(f"unit{number}()" for number in range(UNITS))
        declared = "".join(f"int unit{number}(void);\n" for number in range(UNITS))
        main = f'#include <stdio.h>\n#include "common.h"\n{declared}'
        files = {f"unit{number}.c": unit(number) for number in range(UNITS)}
        files["main.c"] = f'{main}int main(void) {{ printf("%d\\n", COMMON + {calls}); return 0; }}\n'
        files |= {"common.h": "#define COMMON 100\n", "odd.h": "#define ODD 1000\n", "Makefile": MAKEFILE}
        write(at, files)

    def act(self, at: At) -> None:
        run(at, "make", "-s", "-j4")
        run(at, "./prog")

    def expect(self, at: At) -> list[Made]:
        found = []
        for name, more in {"main": ["common.h"], **{f"unit{n}": headers(n) for n in range(UNITS)}}.items():
            sources = {f"{name}.c", *more}
            compiler = ["*cc1", "..."]
            may = [f"{name}.d", f"{name}.o"]
            found.append(made(f"{name}.o", sources, ["*as", "..."], may=may))
            found.append(made(f"{name}.d", sources, compiler, may=may))
        library = [f"unit{number}.o" for number in IN_LIBRARY]
        objects = ["main.o", *(f"unit{number}.o" for number in OTHERS)]
        assembled: Mapping[str, list[str]] = {name: ["*as", "..."] for name in [*library, *objects]}
        archive = ["ar", "rcs", "libunits.a", *library]
        return [
            *found,
            # ar and ld read back what they have written, ar from a file that it made for that.
            made(
                "libunits.a", {name: assembled[name] for name in library}, archive, may=["libunits.a", "st*"]
            ),
            made(
                "prog",
                {"libunits.a": archive, **{name: assembled[name] for name in objects}},
                ["*ld", "..."],
                may=["prog"],
            ),
        ]


STATIC = r"""
#include <ctype.h>
#include <stdio.h>
int main(int count, char **words) {
    FILE *in = fopen(words[1], "r"), *out = fopen(words[2], "w");
    int letter;
    if (count != 3 || !in || !out) return 1;
    while ((letter = getc(in)) != EOF) putc(toupper(letter), out);
    return fclose(out);
}
"""


@scenario
class StaticProgram(Scenario):
    """A program without a loader or a library, built and stored in the mount."""

    def prepare(self, at: At) -> None:
        write(at, {"upper.c": STATIC, "in.txt": "some text that is not in capitals\n" * 5})

    def act(self, at: At) -> None:
        run(at, "gcc", "-static", "-o", "upper", "upper.c")
        run(at, "./upper", "in.txt", "out.txt")

    def expect(self, at: At) -> list[Made]:
        linker = ["*ld", "..."]
        return [
            made("upper", {"upper.c"}, linker, may=["upper"]),
            made("out.txt", {"in.txt": None, "upper": linker}, ["./upper", "in.txt", "out.txt"]),
        ]


TRACKED = [f"file{number}.txt" for number in range(10)]
GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "user.name",
    "GIT_CONFIG_VALUE_0": "someone",
    "GIT_CONFIG_KEY_1": "user.email",
    "GIT_CONFIG_VALUE_1": "someone@example.org",
    "GIT_CONFIG_KEY_2": "safe.directory",
    "GIT_CONFIG_VALUE_2": "*",
    "GIT_CONFIG_KEY_3": "gc.auto",
    "GIT_CONFIG_VALUE_3": "0",
}


@scenario
class GitCloneAndCheckout(Scenario):
    """A clone and a checkout: each file comes out of the pack, none out of another file."""

    def prepare(self, at: At) -> None:
        os.environ.update(GIT)
        write(at, {f"origin/{name}": f"{name}, as it was\n" * 20 for name in TRACKED})
        origin = at.here / "origin"
        run(at, "git", "init", "-q", "-b", "main", ".", cwd=origin)
        run(at, "git", "add", "-A", cwd=origin)
        run(at, "git", "commit", "-q", "-m", "first", cwd=origin)
        run(at, "git", "checkout", "-q", "-b", "side", cwd=origin)
        for name in TRACKED[:3]:
            (origin / name).write_text(f"{name}, changed\n" * 20)
        run(at, "git", "commit", "-q", "-a", "-m", "second", cwd=origin)
        run(at, "git", "checkout", "-q", "main", cwd=origin)
        run(at, "git", "gc", "-q", cwd=origin)

    def act(self, at: At) -> None:
        os.environ.update(GIT)
        run(at, "git", "clone", "-q", "origin", "clone")
        run(at, "git", "-C", "clone", "checkout", "-q", "side")

    def expect(self, at: At) -> list[Made]:
        clone = ["git", "clone", "-q", "origin", "clone"]
        checkout = ["git", "-C", "clone", "checkout", "-q", "side"]
        pack = {"*/.git/objects/*"}
        stored = ["clone/.git/*", "origin/.git/*"]
        # A checkout reads a file that is as new as the index, to see whether somebody has changed it.
        looked_at = [*stored, "clone/file*.txt"]
        return [
            *(made(f"clone/{name}", pack, clone, may=stored) for name in TRACKED[3:]),
            *(made(f"clone/{name}", pack, checkout, may=looked_at) for name in TRACKED[:3]),
        ]
