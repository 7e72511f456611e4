"""The page says what the files say, holds all of its pictures, and takes nothing from a file for HTML."""

import html
import json
import re
import subprocess
import sys

import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page import PageSettings, write_page
from neuroclip_hf.figures.page.content import Page, PageTable, Section
from neuroclip_hf.figures.page.html import render
from neuroclip_hf.figures.page.numbers import notation, p_value, repeat_points, score, segment
from neuroclip_hf.figures.scores import NO_BREAK

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">&"\''


def page(folder, **settings):
    made = write_page(folder, folder.parent / "page.html", PageSettings(**settings), overwrite=True)
    return made, (folder.parent / "page.html").read_text(encoding="utf-8")


def words(text):
    said = html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)))
    return said.replace(NO_BREAK, " ")


def test_a_run(made, tmp_path):
    result, text = page(made.make_run(tmp_path / "run", flags=["duplicates in the gallery"]))
    assert result["figures"] == [
        "By subject",
        "Averaged repeats",
        "Training",
        "Confusion by concept",
        "Similarity of queries and gallery",
    ]
    said = words(text)
    assert "Simulated recordings: these numbers say nothing about real brains." in said
    assert "Top-1 0.500 (0.470 to 0.530)" in said
    assert "Chance: 0.5 % (top-1), 2.5 % (top-5), gallery of 200." in said
    assert "duplicates in the gallery" in said
    assert "transductive" in said
    assert "200-way" in said
    assert "n = 3 queries" in said
    assert text.count("data:image/png;base64,") == 5
    assert "they need --data STORE" in said
    assert "Log-loss 2.500." in said
    assert "lower is better; blind guessing gives 5.298." in said


@pytest.mark.parametrize("kind", ["run", "reproduction", "ablation"])
def test_without_a_learned_scale_nothing_is_said_of_log_losses(made, tmp_path, kind):
    folder = getattr(made, f"make_{kind}")(tmp_path / kind)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    report["log_loss"] = None
    for row in report.get("rows", ()):
        row["log_loss"] = row["log_loss_difference"] = None
    for row in report.get("results", ()):
        row["mean"].pop("log_loss", None)
    made.write(folder, "report.json", report)
    _, text = page(folder)
    assert "blind guessing" not in words(text)


def test_one_of_something_is_not_called_several(made, tmp_path):
    folder = made.make_reproduction(tmp_path / "out", runs=1, subjects=1, seeds=[0], concepts=("face",))
    _, text = page(folder)
    assert not re.search(r"\b1 (seeds|subjects|queries|pictures|runs|variants)\b", words(text))
    assert "Means over 1 seed." in words(text)
    _, text = page(made.make_ablation(tmp_path / "one", names=["everything"]))
    assert "1 variant of neuroclip-intra" in words(text)


def test_a_model_without_a_scale_has_no_log_loss(made, tmp_path):
    _, text = page(made.make_run(tmp_path / "run", log_loss=None))
    assert "og-loss" not in words(text)


def test_recorded_brains_are_called_so(made, tmp_path):
    _, text = page(made.make_run(tmp_path / "run", data="recorded"))
    assert "Recorded brains." in words(text)
    assert "imulated" not in words(text)


def test_a_reproduction(made, tmp_path):
    result, text = page(made.make_reproduction(tmp_path / "out", whitening_fit="own session"))
    assert result["figures"][:3] == ["By subject", "Averaged repeats", "Training"]
    said = words(text)
    assert "95 % interval over subjects" in said
    assert "2.500 ± 0.010" in said
    assert "at the scale that each model learned: lower is better; blind guessing gives 5.298" in said
    assert "10 subjects, 3 seeds" in said
    assert "2 trainings (thin) and their mean (bold)" in said
    assert "2 runs together" in said
    assert said.index("inductive") < said.index("calibrated") < said.index("matching")
    assert "0.460 ± 0.010" in said
    assert "In brackets: 95 % interval over subjects." in said
    assert "±: one standard deviation over seeds." in said
    assert "2.500 ± 0.010" in said
    assert "lower is better; blind guessing gives 5.298." in said


def test_an_interval_and_a_deviation_are_told_apart():
    interval = score({"mean": 0.5, "std": 0.1, "interval": {"low": 0.4, "high": 0.7, "over": "queries"}})
    deviation = score({"mean": 0.5, "std": 0.125})
    assert [str(one).replace(NO_BREAK, " ") for one in (interval, deviation)] == [
        "0.500 (0.400 to 0.700)",
        "0.500 ± 0.125",
    ]
    assert notation([deviation, None]) == "±: one standard deviation over seeds."
    assert notation([interval]) == "In brackets: 95 % interval over queries."
    assert notation([score(0.5), None]) == ""


def test_no_p_is_zero():
    assert [p_value(p) for p in (0.0004, 0.0005, 0.25)] == ["< 0.001", "0.001", "0.250"]


def test_columns_of_words_stand_left_and_those_of_numbers_right():
    table = PageTable("t", ("a", "b", "c"), [("1", "x", "0.1"), ("2", "", "-0.2")])
    text = render(Page("title", "lead", [], [], [Section("s", "l", simulated=False, tables=[table])]))
    assert re.findall(r'<t[hd][^>]*class="(\w+)"', text) == ["words", "words", "numbers"] * 3


def test_ablations(made, tmp_path):
    made.make_ablation(tmp_path / "all" / "parts")
    made.make_ablation(tmp_path / "all" / "encoders", over="encoders")
    made.make_ablation(tmp_path / "all" / "segments", over="segments", names=made.segments())
    result, text = page(tmp_path / "all")
    differences = ("Paired differences in top-1", "Paired differences in log-loss")
    assert result["figures"] == [
        *("Comparison of encoders", *differences),
        *("Ablation over parts", *differences),
        *("Temporal segments", *differences),
    ]
    assert "lower is better; blind guessing gives 5.298" in words(text)
    assert "windows of 0.1 s at different places, and windows that grow" in words(text)


def test_several_results_are_compared_by_setting(made, tmp_path):
    for recipe, protocol in (("nice", "intra"), ("neuroclip", "intra"), ("neuroclip", "inter")):
        made.make_reproduction(tmp_path / "all" / f"{recipe}-{protocol}", recipe=recipe, protocol=protocol, runs=1)
    made.make_run(tmp_path / "all" / "deep" / "run", data="recorded")
    result, text = page(tmp_path / "all")
    assert result["figures"][0] == "Methods"
    assert len(result["results"]) == 4
    assert "Some recordings are simulated: the titles say which." in words(text)
    names = re.findall(r' id="([^"]+)"', text)
    assert len(names) == len(set(names))


def test_a_run_that_was_not_evaluated_has_its_training(made, tmp_path):
    run = made.make_run(tmp_path / "run")
    (run / "report.json").unlink()
    result, text = page(run)
    assert result["figures"] == ["Training"]
    assert "Not evaluated yet" in text


def test_nothing_from_a_file_is_taken_for_html(made, tmp_path):
    subjects = [f"sub-{EVIL}", "\ud800\x00"]
    made.make_run(tmp_path / "all" / "run", concepts=[EVIL, "$\\frac{$", "b"], subjects=subjects, flags=[EVIL])
    made.make_ablation(tmp_path / "all" / "ablation", names=[EVIL, "b"], over="parts", recipe=EVIL)
    made.make_reproduction(tmp_path / "all" / "other", recipe=EVIL, protocol="inter", tower=EVIL, runs=1)
    _, text = page(tmp_path / "all")
    assert text.count("&lt;script&gt;alert(1)") >= 5
    assert "<script" not in text
    assert not re.search(r"<img[^>]*onerror", text)
    assert "default-src 'none'" in text


def test_the_page_holds_everything_that_it_shows(made, tmp_path):
    _, text = page(made.make_run(tmp_path / "run"))
    assert set(re.findall(r'(?:src|href)="([a-z]+:|#)', text)) <= {"data:", "#"}
    assert "http" not in re.sub(r'http-equiv="', "", re.sub(r"base64,[^\"]*", "", text))
    assert str(tmp_path) not in text


def test_the_same_files_give_the_same_bytes_wherever_they_lie(made, tmp_path):
    for place in ("one", "two"):
        made.make_run(tmp_path / place / "run")
        write_page(tmp_path / place / "run")
    assert (tmp_path / "one/run/report.html").read_bytes() == (tmp_path / "two/run/report.html").read_bytes()


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("subjects", None, "run/report.json holds a wrong entry"),
        ("top1", "much", "'much' is no number"),
        ("chance", float("nan"), "nan is not finite"),
        ("repeats", [{"repeats": 1}], "lacks 'top1'"),
        ("schema", 2, "schema 2, this version reads 3"),
        ("kind", "novel", "kind 'novel'"),
    ],
)
def test_a_damaged_report_is_named_and_no_page_is_left(made, tmp_path, entry, value, message):
    run = made.make_run(tmp_path / "run")
    made.write(run, "report.json", made.run_report() | {entry: value})
    with pytest.raises(InputError, match=re.escape(message)):
        write_page(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("text", ["{", '{"epoch": "x"}', "[]"])
def test_damaged_training_and_reports_are_named(made, tmp_path, text):
    run = made.make_run(tmp_path / "run")
    (run / "training.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"training\.jsonl cannot be read"):
        write_page(run)
    (run / "report.json").write_text("[1]" if text == "[]" else "{")
    with pytest.raises(InputError, match=r"report\.json"):
        write_page(run)


def test_folders_without_results_and_existing_pages_are_refused(made, tmp_path):
    with pytest.raises(InputError, match=r"holds no report\.json and no run\.json"):
        write_page(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        write_page(tmp_path / "none")
    run = made.make_run(tmp_path / "run")
    (run / "report.html").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        write_page(run)
    assert (run / "report.html").read_text() == "mine"
    with pytest.raises(InputError, match=r"ends in \.html"):
        write_page(run, tmp_path / "page.pdf")
    with pytest.raises(InputError, match="--scalp magic"):
        write_page(run, settings=PageSettings(scalp="magic"), overwrite=True)


def test_families_from_a_file_sort_the_confusion(made, tmp_path):
    run = made.make_run(tmp_path / "run")
    (tmp_path / "families.csv").write_text("concept,family\nface,body\nhouse,thing\ntool,thing\n")
    result, text = page(run, families=tmp_path / "families.csv")
    assert "Confusion by family" in result["figures"]
    assert "by chance for 55.6 %" in words(text)


def test_scores_know_what_their_error_bars_are():
    assert score({"mean": 0.5, "std": 0.1}).spread == "one standard deviation over seeds"
    whole = score({"mean": 0.5, "std": 0.1, "interval": {"low": 0.3, "high": 0.6, "level": 0.9, "over": "subjects"}})
    assert (whole.low, whole.high, whole.spread) == (0.3, 0.6, "90 % interval over subjects")
    assert not score(0.5).has_error
    (point,) = repeat_points([{"repeats": 2, "top1": 0.5, "num_queries": 100}])
    assert (point.top1.low, point.top1.high) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_segments_are_read_from_their_windows():
    rows = [{"name": "the recipe", "overrides": {}, "top1": 0.5}]
    rows += [
        {"name": f"{kind} somewhere", "overrides": {"window": [0.1, 0.3]}, "top1": 0.5} for kind in ("sliding", "x")
    ]
    assert segment(rows[0]) is None
    kind, found = segment(rows[1])
    assert (kind, found.start, found.stop, found.top1.mean) == ("sliding", 0.1, 0.3, 0.5)
    with pytest.raises(ValueError, match="'x somewhere' is neither sliding nor growing"):
        segment(rows[2])


def test_a_run_outside_the_reproduction_is_refused(made, tmp_path):
    made.make_run(tmp_path / "mine")
    folder = made.make_reproduction(tmp_path / "out", runs=0)
    entry = {"subject": "sub-01", "seed": 0, "folder": "../mine"}
    made.write(folder, "report.json", made.reproduction_report() | {"runs": [entry]})
    with pytest.raises(InputError, match=r"report\.json holds a wrong entry \(run .*mine lies outside"):
        write_page(folder)


def test_a_page_of_files_alone_loads_no_torch(made, tmp_path):
    run = made.make_run(tmp_path / "run")
    program = (
        "import sys\nfrom neuroclip_hf.cli.main import main\n"
        f"assert main(['report', {str(run)!r}, '--json']) == 0\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["page"] == str(run / "report.html")


def begin_ablation(folder, made, cells):
    """As `ablate` leaves it before the last run: variation -> names of finished runs."""
    made.write(folder, "reproduction.json", {"over": "parts", "recipe": {}, "protocol": "intra", "store": "0"})
    for variation, runs in cells.items():
        place = folder / "variations" / variation
        made.write(place, "reproduction.json", {"recipe": {}, "protocol": "intra", "store": "0"})
        for run in runs:
            made.write(place / "runs" / run, "report.json", made.run_report())
            made.write(place / "runs" / run, "run.json", {})


def test_unfinished_cells_of_an_ablation_are_counted(made, tmp_path):
    cells = {"the-recipe": ["sub-01/seed-0", "sub-01/seed-1"], "without-filter": ["sub-01/seed-0"], "without-catf": []}
    begin_ablation(tmp_path / "all" / "parts", made, cells)
    result, text = page(tmp_path / "all")
    assert result["results"] == ["Ablation over parts (parts)"]
    assert "3 of 6 cells (a subject and a seed of a variation) are unfinished" in words(text)
    assert "say nothing about real brains" not in words(text)
    made.make_ablation(tmp_path / "all" / "parts")  # of an earlier command that asked for fewer
    assert "3 of 6 cells" in words(page(tmp_path / "all")[1])
    begin_ablation(tmp_path / "all" / "parts", made, dict.fromkeys(cells, cells["the-recipe"]))
    assert "unfinished" not in words(page(tmp_path / "all")[1])


def test_an_ablation_without_any_finished_cell_is_shown_too(made, tmp_path):
    begin_ablation(tmp_path / "parts", made, {"the-recipe": [], "without-filter": []})
    assert "At least 2 of 2 cells" in words(page(tmp_path / "parts")[1])


def test_the_second_whitening_has_its_galleries_and_tiers_say_their_trials(made, tmp_path):
    report = made.reproduction_report()
    for row in report["results"]:
        row["num_trials"] = 0 if row["tier"] == "inductive" else 321
    second = {**report["results"][0], "whitening": "training-subjects whitening"}
    second["n_way"] = {"2": {"top1": made.spread(0.777)}}
    report["results"].insert(2, second)
    made.write(tmp_path / "out", "report.json", {**report, "runs": []})
    said = words(page(tmp_path / "out")[1])
    assert "Smaller galleries, training-subjects whitening" in said
    assert "0.777" in said
    assert "321" in said
    assert "cosine, training-subjects whitening" in said
    run = made.run_report()
    other = {**run["tiers"][0], "whitening": "training-subjects whitening", "n_way": {"2": {"top1": 0.666}}}
    run["tiers"].insert(1, other)
    made.make_run(tmp_path / "run", tiers=run["tiers"])
    said = words(page(tmp_path / "run")[1])
    assert "Smaller galleries, training-subjects whitening" in said
    assert "0.666" in said
    assert "cosine, training-subjects whitening" in said


def test_a_training_that_was_lost_says_why_and_whether_it_was_made_since(made, tmp_path):
    lost = {"why": "The loss is nan in epoch 3.", "batch": ["a.jpg (sub-01, a.npz, sample 4)"]}
    kept = tmp_path / "all" / "run-last-good"
    made.write(kept, "run.json", {"data": "simulated", "best_epoch": 2, "lost": lost})
    said = words(page(tmp_path / "all")[1])
    assert "The loss is nan in epoch 3." in said
    assert "a.jpg (sub-01, a.npz, sample 4)" in said
    assert "Left over" not in said
    made.make_run(tmp_path / "all" / "run")
    said = words(page(tmp_path / "all")[1])
    assert "Left over: run has been trained to its end since; this folder can be removed." in said
    made.write(kept, "report.json", made.run_report())
    assert "The loss is nan in epoch 3." in words(page(tmp_path / "all")[1])
