"""What the documentation says is there is there."""

import re
from pathlib import Path

import pytest

from raicurate.pipelines.cli import COMMANDS
from raicurate.transforms import registry

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    """Each path in backquotes that looks like one of ours exists."""
    folders = (
        "corpora_manifests|transforms|exercise_templates|probes|pipelines|tests|docs|benchmarks"
    )
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page: Path) -> None:
    """Each test module that a page names exists."""
    for name in re.findall(r"\b(test_[a-z_]+\.py)\b", page.read_text(encoding="utf-8")):
        assert (ROOT / "tests" / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_exist(page: Path) -> None:
    """Each `raicurate COMMAND` on a page is a command."""
    text = page.read_text(encoding="utf-8")
    for command in re.findall(r"(?:\$ |`)(?:\S*/)?raicurate ([a-z]+)\b", text):
        assert command in COMMANDS, f"{page.name} names `raicurate {command}`"


def test_every_command_is_documented() -> None:
    """The README names every command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"`raicurate {command}" in text, command


def test_every_annotator_is_documented() -> None:
    """The README names every annotator that ships."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in registry.registered():
        if not name.startswith("transparent"):
            assert f"`{name}`" in text, name


def test_makefile_has_the_commands_of_the_readme() -> None:
    """`make run` and `make test` are targets, and the README shows the lines that they run."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", readme):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "raicurate run corpora_manifests/quickstart.yaml --out out/quickstart" in readme


def test_no_path_of_a_machine_is_committed() -> None:
    """No page names a folder of somebody's machine."""
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(?:home|root|Users)/\w", page.read_text(encoding="utf-8"))
