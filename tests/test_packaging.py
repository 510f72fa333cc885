"""What is in the repository is in the wheel."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all files in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(source)],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_every_package_folder_is_listed() -> None:
    """Each folder with an `__init__.py` is a listed package; another would be left out silently."""
    found = {path.parent.relative_to(ROOT) for path in ROOT.glob("*/**/__init__.py")}
    found = {path for path in found if path.parts[0] not in {"tests", "build", ".venv", "out"}}
    assert {str(path) for path in found} == set(FOLDERS.values())
    assert set(FOLDERS) == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_file_is_in_the_wheel(wheel: set[str]) -> None:
    """Modules, manifests, templates, models, lexicons and the sample corpus are all in it."""
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in path.parts[-3:])
            if path.is_file() and not hidden:
                name = f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder)}"
                assert name in wheel


def test_namespace_has_no_init(wheel: set[str]) -> None:
    """`raicurate` itself is a namespace, so that its folders can stand at the root."""
    assert "raicurate/__init__.py" not in wheel


def test_locked_versions_cover_the_dependencies() -> None:
    """Every dependency of the project stands in the lock file."""
    locked = {
        line.partition("==")[0].lower()
        for line in (ROOT / "requirements.lock").open()
        if "==" in line
    }
    for requirement in PROJECT["project"]["dependencies"]:
        name = requirement.partition(">=")[0].strip().lower()
        assert name in locked
    assert "fasttext" not in locked, "the module `fasttext` must have one owner only"


def test_modules_that_need_torch_run_in_test_all() -> None:
    """`make test` skips them, so each must carry the mark that `make test-all` selects."""
    for path in Path(__file__).parent.glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != Path(__file__).name and 'importorskip("torch")' in text:
            assert "pytest.mark.torch" in text, path.name


def test_probes_lock_holds_the_other_one() -> None:
    """What `make test-all` adds leaves the versions of `make test` as they are."""
    base, probes = (
        {line.strip() for line in (ROOT / name).open()}
        for name in ("requirements.lock", "requirements-probes.lock")
    )
    changed = {line for line in base - probes if not line.startswith("colorama==")}
    assert not changed
    assert not [line for line in probes if line.startswith(("nvidia-", "cuda-", "triton"))]
