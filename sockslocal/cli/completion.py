"""`completion`: scripts for bash, zsh and fish, made from the tree of commands."""

import argparse
import shlex
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from sockslocal.cli.context import Context
from sockslocal.cli.tree import build
from sockslocal.problems import ExitCode


class _Node(NamedTuple):
    """What can follow the commands of `path`: further commands, options, values of its first argument."""

    path: tuple[str, ...]
    commands: dict[str, str]
    options: dict[str, str]
    values: tuple[str, ...]


def show(arguments: Namespace, _context: Context) -> int:
    """The script on stdout."""
    nodes = list(_nodes(build(), ()))
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](nodes))
    return ExitCode.DONE


def _nodes(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[_Node]:
    commands: dict[str, str] = {}
    options: dict[str, str] = {}
    values: tuple[str, ...] = ()
    children: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001  argparse has no other way to walk a tree
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            children = dict(action.choices)
            commands = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
        elif action.help == argparse.SUPPRESS:
            continue
        elif action.option_strings:
            options |= dict.fromkeys(action.option_strings, action.help or "")
        elif action.choices and not values:
            values = tuple(map(str, action.choices))
    yield _Node(path, commands, options, values)
    for name, child in children.items():
        yield from _nodes(child, (*path, name))


def _words(node: _Node) -> str:
    return " ".join((*node.commands, *node.values, *node.options))


def _bash(nodes: list[_Node]) -> str:
    """The path is what stands before the cursor and is a command; the rest is left to the node's words."""
    cases = "\n".join(f"        {_key(node)}) words={shlex.quote(_words(node))} ;;" for node in nodes)
    paths = " ".join(_key(node) for node in nodes)
    return f"""\
# bash completion for sockslocal
_sockslocal() {{
    local path=sockslocal word words current=${{COMP_WORDS[COMP_CWORD]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ " {paths} " == *" $path/$word "* ]] && path=$path/$word
    done
    case $path in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _sockslocal sockslocal"""


def _key(node: _Node) -> str:
    return "/".join(("sockslocal", *node.path))


def _zsh(nodes: list[_Node]) -> str:
    """As bash's, with the help beside each word; `path` and `words` are zsh's own."""
    cases = "\n".join(f"        {_key(node)}) choices=({_zsh_words(node)}) ;;" for node in nodes)
    paths = " ".join(_key(node) for node in nodes)
    return f"""\
#compdef sockslocal
_sockslocal() {{
    local node=sockslocal word
    local -a choices nodes=({paths})
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        (( ${{nodes[(Ie)$node/$word]}} )) && node=$node/$word
    done
    case $node in
{cases}
    esac
    _describe command choices
    _files
}}
_sockslocal "$@\""""


def _zsh_words(node: _Node) -> str:
    described = {**node.commands, **dict.fromkeys(node.values, ""), **node.options}
    return " ".join(shlex.quote(f"{word}:{text}" if text else word) for word, text in described.items())


def _fish(nodes: list[_Node]) -> str:
    """One rule for each word, valid where the commands before the cursor lead to its node."""
    lines = [
        f"""\
# fish completion for sockslocal
function __sockslocal_at
    set -l node sockslocal
    set -l nodes {" ".join(_key(node) for node in nodes)}
    for word in (commandline -opc)[2..-1]
        contains -- $node/$word $nodes; and set node $node/$word
    end
    test $node = $argv[1]
end"""
    ]
    for node in nodes:
        rule = f"complete -c sockslocal -n '__sockslocal_at {_key(node)}'"
        for word, text in {**node.commands, **dict.fromkeys(node.values, "")}.items():
            lines.append(f"{rule} -f -a {word} -d {_fish_quote(text)}")
        for option, text in node.options.items():
            kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"{rule} {kind} -d {_fish_quote(text)}")
    return "\n".join(lines)


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
