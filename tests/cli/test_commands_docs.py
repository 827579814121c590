"""Every command shows examples that it understands, and docs/commands.md knows every command, verb and exit code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import alma_restore
from alma_restore import capo
from alma_restore.cli import alma_restore_command, main
from alma_restore.cli.exits import Exit

DOCS = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def commands(group, path=()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


GROUP = typer.main.get_command(main.app)
COMMANDS = {f"alma-restore {name}": command for name, command in commands(GROUP)} | {
    "almaRestore": typer.main.get_command(alma_restore_command.app)
}


def examples(command) -> list[str]:
    return re.findall(r"^\s+((?:alma-restore|almaRestore) .*)$", command.help.split("Examples:")[1], re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_the_command_understands(name):
    command = COMMANDS[name]
    arguments = name.split()[1:]
    app = main.app if arguments else alma_restore_command.app
    printed = " ".join(CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"}).output.split())
    assert examples(command)
    for example in examples(command):
        assert " ".join(example.split()) in printed
        words = shlex.split(example.split("|")[0])
        assert words[: len(name.split())] == name.split()
        command.make_context(name, words[len(name.split()) :]).close()  # parses, and carries nothing out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_docs_know_the_command(name):
    assert f"`{name}" in DOCS or f"## {name}\n" in DOCS


def test_the_docs_know_no_other_commands():
    assert set(re.findall(r"^\| `(alma-restore [a-z-]+(?: (?:consume|publish))?)", DOCS, re.MULTILINE)) == {
        name for name in COMMANDS if name != "almaRestore"
    }


def test_the_docs_know_every_exit_code():
    section = DOCS.split("### Exit codes")[1].split("###")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(Exit)


def test_the_docs_know_every_verb_and_every_capo_property():
    for verb in set(alma_restore.__all__) - {"__version__"}:
        assert f"`{verb}(" in DOCS or f" `{verb}(" in DOCS
    for property_, setting in capo.SETTING_OF.items():
        assert f"| `{property_}` | `{setting}`" in DOCS


def test_the_environment_variables_of_the_docs_are_read_somewhere():
    package = Path(alma_restore.__file__).parent
    sources = "".join(path.read_text() for path in package.rglob("*.py"))
    section = DOCS.split("### Environment")[1].split("###")[0]
    for variable in re.findall(r"`((?:ALMA_RESTORE|AIRFLOW_CONN|CAPO)_[A-Z_]+)`", section):
        name = variable.removeprefix("AIRFLOW_CONN_").removeprefix("ALMA_RESTORE_").lower()
        assert variable in sources or name in sources
