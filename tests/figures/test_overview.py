"""Methods side by side: each has a name of its own, and what parts two of one recipe is said."""

import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page import overview, write_page
from neuroclip_hf.figures.page.reading import find_results


def plan(epochs=2, store="0123", **settings):
    recipe = {"name": "neuroclip-intra", "training": {"epochs": epochs}, "data": {"subjects": None}, **settings}
    return {"recipe": recipe, "protocol": "intra", "store": store}


@pytest.fixture
def drawn(made, tmp_path, monkeypatch):
    """Reproductions of one recipe with these plans, by folder -> labels of each panel, and the caption."""

    def draw(plans, **changes):
        for name, found in plans.items():
            folder = made.make_reproduction(tmp_path / "all" / name, runs=0, **changes)
            made.write(folder, "reproduction.json", found)
        panels = []
        monkeypatch.setattr(overview, "accuracy_bars", lambda given: panels.append(given))
        monkeypatch.setattr(overview, "to_png", lambda _: b"")
        figure = overview.methods_figure(find_results(tmp_path / "all"))
        return [[row.label for row in panel.rows] for panel in panels[0]], figure.caption

    return draw


def test_two_of_one_recipe_have_the_names_of_their_folders_and_what_they_differ_in(drawn):
    [labels], caption = drawn({"a": plan(), "mine/b": plan(3, lora={"r": 2}), "c": plan(3)})
    assert labels == ["neuroclip-intra (a)", "neuroclip-intra (c)", "neuroclip-intra (mine/b)"]
    assert (
        "The neuroclip-intra of a, c and mine/b differ in training.epochs (2, 3 and 3) and lora.r (none, none and 2)."
    ) in caption


def test_what_differs_beside_the_recipe_is_named_too(drawn):
    _, caption = drawn({"a": plan(), "b": plan(store="4567")})
    assert "of a and b differ in store (0123 and 4567)." in caption


def test_where_nothing_differs_that_is_said(drawn):
    _, caption = drawn({"a": plan(), "b": plan()})
    assert "of a and b have the same settings." in caption


def test_many_differences_are_counted(drawn):
    many = {f"setting{number}": number for number in range(9)}
    _, caption = drawn({"a": plan(), "b": plan(**many)})
    assert "setting3 (none and 3) and 5 more settings." in caption


def test_different_recipes_keep_their_names(made, tmp_path, drawn):
    made.make_reproduction(tmp_path / "all" / "z", recipe="nice", runs=0)
    [labels], caption = drawn({"a": plan()})
    assert labels == ["neuroclip-intra", "nice"]
    assert "differ in" not in caption


def test_without_its_plan_a_reproduction_still_has_a_name(made, tmp_path, drawn):
    made.make_reproduction(tmp_path / "all" / "z", runs=0)
    [labels], caption = drawn({"a": plan()})
    assert labels == ["neuroclip-intra (a)", "neuroclip-intra (z)"]
    assert "settings" not in caption


def test_a_damaged_plan_is_named(made, tmp_path):
    for name in ("a", "b"):
        folder = made.make_reproduction(tmp_path / "all" / name, runs=0)
        made.write(folder, "reproduction.json", "[]")
    with pytest.raises(InputError, match=r"reproduction\.json"):
        write_page(tmp_path / "all")
