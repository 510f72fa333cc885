"""Nothing imports upward, and blocks import without Beam."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "corpora_manifests": set(),
    "transforms": {"corpora_manifests", "exercise_templates"},
    "exercise_templates": {"corpora_manifests"},
    "probes": {"corpora_manifests", "transforms"},
    "pipelines": {"corpora_manifests", "transforms", "exercise_templates", "probes"},
}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "raicurate":
                names |= {f"raicurate.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folders_import_downward_only(folder: str) -> None:
    """A module imports its own folder and those below it, by full name."""
    for path in (ROOT / folder).rglob("*.py"):
        for name in _imports(path):
            top, _, rest = name.partition(".")
            assert top not in MAY_IMPORT, f"{path} imports {name} without `raicurate.`"
            if top == "raicurate":
                assert rest.partition(".")[0] in MAY_IMPORT[folder] | {folder}, f"{path}: {name}"


def test_blocks_import_without_beam() -> None:
    """Transforms, templates, manifests and what runs a unit load without Beam."""
    program = (
        "import sys, pkgutil, importlib\n"
        "import raicurate.transforms as t, raicurate.exercise_templates, raicurate.pipelines.run\n"
        "import raicurate.pipelines.curate_unit\n"
        "for m in pkgutil.iter_modules(t.__path__):\n"
        "    importlib.import_module(f'raicurate.transforms.{m.name}')\n"
        "assert 'apache_beam' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
