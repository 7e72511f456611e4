"""The site builds without a warning and without a network, and nothing that it should show is missing."""

import html
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

import neuroclip_hf
from neuroclip_hf import losses, metrics
from neuroclip_hf.cli.main import app
from neuroclip_hf.models.registry import ENCODERS
from neuroclip_hf.training.settings import recipe_names

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTED = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
CODE = re.compile(r'<div class="language-(\w+) highlight"><pre>(.*?)</pre>', re.DOTALL)
FENCED = ("neuroclip_hf/pipelines.py",)
FETCHED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^"'> ]+""")


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def text_of(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def test_every_page_is_there_and_fetches_nothing(pages, site):
    navigation = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = re.findall(r"([\w/-]+)\.md", str(navigation))
    assert {f"{name}.html" for name in named} | {"404.html"} == set(pages)
    assert not [found for page in pages.values() for found in FETCHED.findall(page)]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", styles)
    assert not list(site.rglob("*.py"))


def test_nothing_that_a_page_asks_for_is_left_unfilled(pages):
    assert not [name for name, page in pages.items() if "{{" in page or "&#123;&#123;" in page]


def test_every_block_of_the_site_is_one_that_the_tests_run(pages):
    sources = [PROJECT / "README.md", *PROJECT.glob("docs/**/*.md"), *(PROJECT / "neuroclip_hf").rglob("*.py")]
    known = "".join("".join(path.read_text(encoding="utf-8").split()) for path in sources)
    shown = [(name, *block) for name, page in pages.items() for block in CODE.findall(page)]
    examples = [(name, text_of(code)) for name, language, code in shown if language in ("bash", "python", "pycon")]
    assert len(examples) > 20
    assert not [(name, code) for name, code in examples if "".join(code.split()) not in known]
    # Fences in docstrings run only where a test of the code blocks names their module; ">>>" always does.
    run = "".join("".join((PROJECT / path).read_text(encoding="utf-8").split()) for path in FENCED)
    fenced = [(name, text_of(code)) for name, language, code in shown if language in ("bash", "python")]
    assert not [one for one in fenced if one[0].startswith("api/") and "".join(one[1].split()) not in run]


def test_every_verb_stands_with_all_its_options(pages):
    spec = importlib.util.spec_from_file_location("verbs", PROJECT / "docs" / "_site" / "verbs.py")
    verbs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(verbs)
    typer = verbs.typer
    command = typer.main.get_command(app)
    found = list(verbs.leaves(command, typer.Context(command, info_name="neuroclip")))
    assert len(found) > 20
    text = text_of(pages["verbs.html"])
    for verb, context in found:
        assert f'id="{context.command_path.replace(" ", "-")}"' in pages["verbs.html"]
        for parameter in verb.params:
            assert all(name in text for name in parameter.opts if name.startswith("--") and name != "--help")


def test_every_recipe_stands_with_its_comments(pages):
    blocks = [text_of(code) for language, code in CODE.findall(pages["recipes.html"]) if language == "yaml"]
    assert len(blocks) == len(recipe_names())
    for name in recipe_names():
        whole = (PROJECT / "neuroclip_hf" / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        assert any(whole.strip().endswith(block) for block in blocks), name
        assert f'id="{name}"' in pages["recipes.html"]


def test_the_api_has_all_public_names():
    text = "\n".join(path.read_text(encoding="utf-8") for path in PROJECT.glob("docs/api/*.md"))
    documented = set(DOCUMENTED.findall(text))
    last_parts = {name.rpartition(".")[2] for name in documented}
    assert set(neuroclip_hf.__all__) - {"__version__"} <= last_parts
    assert {f"neuroclip_hf.losses.{name}" for name in losses.__all__} <= documented
    assert {f"neuroclip_hf.metrics.{name}" for name in metrics.__all__} <= documented
    for pair in ENCODERS.values():
        assert {one.__name__ for one in pair} <= last_parts


def test_a_section_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "docs" / "_site"))
    import hooks

    with pytest.raises(ValueError, match=r"README\.md has no heading 'Nothing'"):
        hooks.fill("{{ section README.md: Nothing }}", "page.md")
    assert hooks.fill("{{ section README.md: Two commands }}", "page.md").startswith("From a clone")
    assert "(../contributing.md)" in hooks.fill("{{ section README.md: More }}", "api/page.md")
