"""`pfs show PLACE`: one commit, one entry in it, or one recorded process."""

from __future__ import annotations

import click

from pfs.cli.changes import change_line
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.lineage import command_text, content_text, exit_text, who_text
from pfs.cli.output import mode_text, print_json, print_table, print_text, time_text, visible
from pfs.control.wire import Json


@click.command("show")
@click.argument("place", required=False)
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None) -> None:
    """The commit that PLACE means and what it changed; with a path in it, what is recorded of that entry.

    p:… is a process, as 'pfs ps' and 'pfs lineage --json' name it.
    """
    if place is not None and place.startswith("p:"):
        result = invocation.call("process", {"process": place})
        if invocation.as_json:
            print_json(result)
        else:
            _print_process(result)
        return
    result = invocation.read("show", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
    elif "entry" in result:
        _print_entry(result["entry"])
    else:
        _print_commit(result["commit"])


def _print_commit(commit: Json) -> None:
    author = commit["author"]
    rows = [
        ["commit", commit["commit"]],
        ["branch", commit["branch"]],
        ["kind", commit["kind"]],
        ["author", f"{author['name']}@{author['host']} (uid {author['uid']})"],
        ["time", time_text(commit["time_ns"])],
        *(["parent", parent] for parent in commit["parents"]),
        *(["label", f"{key}={value}"] for key, value in commit["labels"].items()),
    ]
    print_table(rows)
    if commit["message"]:
        print_text("\n" + "\n".join(f"    {line}" for line in commit["message"].splitlines()))
    if commit["changes"]:
        print_text("")
    for change in commit["changes"]:
        print_text(change_line(change))


def _print_entry(entry: Json) -> None:
    rows = [
        ["path", visible(entry["path"])],
        ["mode", mode_text(entry["type"], entry["mode"])],
        ["owner", f"{entry['uid']}:{entry['gid']}"],
        ["size", str(entry["size"])],
        ["modified", time_text(entry["mtime_ns"])],
        ["file id", str(entry["file_id"])],
        ["content", entry["content"] or "(empty)"],
    ]
    if entry["target"] is not None:
        rows.append(["target", visible(entry["target"])])
    print_table(rows)


def _print_process(reply: Json) -> None:
    process, job = reply["process"], reply["job"]
    rows = [
        ["process", process["id"]],
        ["command", visible(process["command"])],
        *([["job", visible(job["command"])]] if job is not None else []),
        ["program", visible(process["exe"])],
        ["directory", visible(process["cwd"])],
        ["user", f"{who_text(process)} (uid {process['uid']})"],
        ["pid", str(process["pid"])],
        ["began", time_text(process["start_ns"])],
        ["ended", f"{time_text(process['end_ns'])}  {exit_text(process)}".rstrip()]
        if process["end_ns"] is not None
        else ["ended", "it is running, or nobody saw its end"],
        *([["cgroup", visible(reply["cgroup"])]] if reply["cgroup"] else []),
        *([["partial", visible(process["reason"])]] if process["reason"] else []),
        *(["started by", f"{p['id']}  {command_text(p['command'])}"] for p in reply["parents"]),
    ]
    print_table(rows)
    if reply["environment"] is None:
        print_text("\nenvironment: another user's, not shown")
    elif reply["environment"]:
        print_text("\nenvironment")
        for name, value in sorted(reply["environment"].items()):
            print_text(f"    {visible(name)}={visible(value)}")
    versions = {version["id"]: version for version in reply["versions"]}
    inputs = [
        [
            f"    {item['version'] or item['process']}",
            *_version_cells(versions.get(item["version"])),
            _level(item),
        ]
        for item in reply["inputs"]
    ]
    _print_contacts("read", inputs, reply["inputs_total"])
    outputs = [[f"    {name}", *_version_cells(versions.get(name)), ""] for name in reply["outputs"]]
    _print_contacts("wrote", outputs, reply["outputs_total"])


def _version_cells(version: Json | None) -> list[str]:
    return ["", ""] if version is None else [content_text(version), visible(version["path"])]


def _level(item: Json) -> str:
    words = [*([] if item["level"] == "observed" else [item["level"]]), *item["flags"]]
    return f"[{' '.join(words)}]" if words else ""


def _print_contacts(title: str, rows: list[list[str]], total: int) -> None:
    if not rows:
        return
    print_text(f"\n{title}")
    print_table(rows)
    if total > len(rows):
        print_text(f"    and {total - len(rows)} more")
