import orjson
import pytest

from raicurate.pipelines.cli import main

MANIFEST = """\
name: preview
policy: policies/default.yaml
corpora:
  - {name: web, root: %s, paths: ["*.jsonl"], license: x, added: "2026-11-01"}
output: {restricted: "{out}.restricted"}
"""
INSULT = (
    "you pathetic talentless nobody, every line you write is worse than the last. do the world a "
    "favour and give up, everyone laughs at you and you deserve it, you worthless little cow"
)


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(
        orjson.dumps({"id": "calm", "text": "The museum opens at nine and closes at five."})
        + b"\n"
        + orjson.dumps({"id": "insult", "text": INSULT})
    )
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST % tmp_path, encoding="utf-8")
    return path


def printed(capsys):
    return capsys.readouterr().out


def test_the_harm_is_folded_unless_asked_for(manifest, capsys):
    """What is added is shown in full, the original only by its length."""
    assert main(["preview", str(manifest)]) == 0
    out = printed(capsys)
    assert "=== web: insult ===" in out
    assert "calm" not in out
    assert "worthless" not in out
    assert "[folded: " in out
    assert main(["preview", str(manifest), "--show-harm"]) == 0
    assert INSULT in printed(capsys)


def test_other_hazards_and_languages_are_left_out(manifest, capsys):
    """Where nothing is found, that is said."""
    assert main(["preview", str(manifest), "--lang", "de"]) == 0
    assert printed(capsys).startswith("no document")
    assert main(["preview", str(manifest), "--hazard", "indiscriminate_weapons"]) == 0
    assert printed(capsys).startswith("no document")


def test_a_style_can_be_chosen_and_an_unknown_one_is_refused(manifest, capsys):
    """The name of a style that does not exist is answered with those that do."""
    assert main(["preview", str(manifest), "--style", "fact_check"]) == 0
    assert main(["preview", str(manifest), "--style", "haiku"]) == 2
    assert "lecture_note" in capsys.readouterr().err
