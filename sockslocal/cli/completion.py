"""`completion`: scripts for bash, zsh and fish, made from the tree of commands.

What the configuration names is asked for by `sockslocal _names`, only where such a name may stand.
"""

import argparse
import shlex
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from sockslocal.cli.context import Context
from sockslocal.cli.parser import Parser
from sockslocal.cli.tree import build
from sockslocal.problems import ExitCode


class _Values(NamedTuple):
    """What an argument may be: one of the `words`, one of the configuration's `names`, else anything."""

    words: tuple[str, ...] = ()
    names: str = ""


class _Node(NamedTuple):
    """What can follow the commands of `path`: further commands, options, values of its first argument.

    `after` has what follows each option that takes a value.
    """

    path: tuple[str, ...]
    commands: dict[str, str]
    options: dict[str, str]
    first: _Values
    after: dict[str, _Values]

    @property
    def key(self) -> str:
        return "/".join(("sockslocal", *self.path))

    @property
    def described(self) -> dict[str, str]:
        """Every word that may follow, with its help."""
        return {**self.commands, **dict.fromkeys(self.first.words, ""), **self.options}


def show(arguments: Namespace, _context: Context) -> int:
    """The script on stdout."""
    nodes = list(_nodes(build(), ()))
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](nodes))
    return ExitCode.DONE


def _nodes(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[_Node]:
    commands: dict[str, str] = {}
    options: dict[str, str] = {}
    after: dict[str, _Values] = {}
    first: _Values | None = None
    children: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001  argparse has no other way to walk a tree
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            commands = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            children = {name: action.choices[name] for name in commands}  # the hidden ones are not among them
            continue
        values = _values(parser, action)
        if not action.option_strings:
            first = first or values
            continue
        if action.help != argparse.SUPPRESS:
            options |= dict.fromkeys(action.option_strings, action.help or "")
        if action.nargs != 0:
            after |= dict.fromkeys(action.option_strings, values)
    yield _Node(path, commands, options, first or _Values(), after)
    for name, child in children.items():
        yield from _nodes(child, (*path, name))


def _values(parser: argparse.ArgumentParser, action: argparse.Action) -> _Values:
    names = parser.names.get(action.dest, "") if isinstance(parser, Parser) else ""
    return _Values(tuple(map(str, action.choices or ())), names)


def _bash(nodes: list[_Node]) -> str:
    """The path is what stands before the cursor and is a command; the rest is left to the node's words."""
    cases = "\n".join(
        f"        {node.key}) words={shlex.quote(' '.join(node.described))} names={node.first.names} ;;"
        for node in nodes
    )
    return f"""\
# bash completion for sockslocal
_sockslocal() {{
    local node=sockslocal words= names= word previous= config=() current=${{COMP_WORDS[COMP_CWORD]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $previous == --config ]] && config=(--config "${{word/#\\~/$HOME}}")
        [[ " {_keys(nodes)} " == *" $node/$word "* ]] && node=$node/$word
        previous=$word
    done
    case $node in
{cases}
    esac
    case "$node $previous" in
{_after(nodes, "words={words} names={names}")}
    esac
    [[ $names && $current != -* ]] && words+=" $(sockslocal "${{config[@]}}" _names $names 2> /dev/null)"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _sockslocal sockslocal"""


def _keys(nodes: list[_Node]) -> str:
    return " ".join(node.key for node in nodes)


def _after(nodes: list[_Node], assigned: str) -> str:
    """The patterns of a shell's `case` for the options that take a value, with what is `assigned` there."""
    lines = []
    for node in nodes:
        for option, values in node.after.items():
            given = assigned.format(words=shlex.quote(" ".join(values.words)), names=values.names)
            lines.append(f"        '{node.key} {option}') {given} ;;")
    return "\n".join(lines)


def _zsh(nodes: list[_Node]) -> str:
    """As bash's, with the help beside each word; `path` and `words` are zsh's own."""
    cases = "\n".join(
        f"        {node.key}) choices=({_zsh_words(node)}) names={node.first.names} ;;" for node in nodes
    )
    return f"""\
#compdef sockslocal
_sockslocal() {{
    local node=sockslocal names= word previous=
    local -a choices config nodes=({_keys(nodes)})
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        [[ $previous == --config ]] && config=(--config "${{${{(Q)word}}/#\\~/$HOME}}")
        (( ${{nodes[(Ie)$node/$word]}} )) && node=$node/$word
        previous=$word
    done
    case $node in
{cases}
    esac
    case "$node $previous" in
{_after(nodes, "choices=(${{=:-{words}}}) names={names}")}
    esac
    [[ -n $names ]] && choices+=(${{(f)"$(sockslocal $config _names $names 2> /dev/null)"}})
    _describe command choices
    _files
}}
_sockslocal "$@\""""


def _zsh_words(node: _Node) -> str:
    return " ".join(shlex.quote(f"{word}:{text}" if text else word) for word, text in node.described.items())


_FISH = """\
# fish completion for sockslocal
function __sockslocal_at
    set -l node sockslocal
    set -l nodes {keys}
    for word in (commandline -opc)[2..-1]
        contains -- $node/$word $nodes; and set node $node/$word
    end
    test $node = $argv[1]
end
function __sockslocal_names
    set -l words (commandline -opc)
    set -l config
    if set -l at (contains -i -- --config $words); and test $at -lt (count $words)
        set config --config (string replace -r '^~' $HOME -- $words[(math $at + 1)])
    end
    command sockslocal $config _names $argv[1] 2> /dev/null
end"""


def _fish(nodes: list[_Node]) -> str:
    """One rule for each word, valid where the commands before the cursor lead to its node."""
    lines = [_FISH.format(keys=_keys(nodes))]
    for node in nodes:
        rule = f"complete -c sockslocal -n '__sockslocal_at {node.key}'"
        for word, text in {**node.commands, **dict.fromkeys(node.first.words, "")}.items():
            lines.append(f"{rule} -f -a {word} -d {_fish_quote(text)}")
        if node.first.names:
            lines.append(f"{rule} -f -a '(__sockslocal_names {node.first.names})'")
        for option in {**node.options, **node.after}:
            kind = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            taken = _fish_values(node.after[option]) if option in node.after else ""
            lines.append(f"{rule} {kind}{taken} -d {_fish_quote(node.options.get(option, ''))}")
    return "\n".join(lines)


def _fish_values(values: _Values) -> str:
    """What follows an option: given words or names, and nothing but them, or anything."""
    if values.names:
        return f" -x -a '(__sockslocal_names {values.names})'"
    return f" -x -a {shlex.quote(' '.join(values.words))}" if values.words else " -r"


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
