"""No secret and no absolute path goes up, wherever in a file it hides; and the refusal does not spell a secret out."""

import json
import re
import struct
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from neuroclip_hf.errors import InputError
from neuroclip_hf.privacy import refuse_private, shorten_paths

TOKEN = "hf_" + "aB3dE6gH9j" * 4


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "staged"
    made.mkdir()
    return made


def refusal(folder):
    with pytest.raises(InputError) as caught:
        refuse_private(folder, folder.parent / "run")
    return str(caught.value)


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        (TOKEN, "a Hugging Face token (hf_aB..., 43 letters)"),
        ("ghp_" + "a1" * 18, "a GitHub token"),
        ("glpat-" + "a1-_" * 5, "a GitLab token"),
        ("sk-" + "a1" * 20, "an API key"),
        ("xoxb-" + "12345-" * 5, "a Slack token"),
        ("AKIA" + "A1B2" * 4, "an access key of AWS"),
        ("AIza" + "a1b2C" * 7, "an API key of Google"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("https://somebody:secret@example.org/x", "a password in an address"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "recipe.yaml", "model.safetensors"])
def test_secrets_are_found_by_how_they_look(folder, secret, what, name):
    text = {"run.json": json.dumps({"note": f"made with {secret} by me"}), "recipe.yaml": f"a: 1 # {secret}\n"}
    content = text[name].encode() if name in text else struct.pack("<Q", 2) + b"{}" + b"\0" * 999 + secret.encode()
    (folder / "deeper").mkdir()
    (folder / "deeper" / name).write_bytes(content)
    said = refusal(folder)
    assert f"deeper/{name} holds {what}" in said
    assert secret not in said


def test_secrets_are_found_by_their_value(folder, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "correct horse")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "parallel as ever")
    (folder / "a.npy").write_bytes(b"\x93NUMPY parallel as ever")
    refuse_private(folder, folder)
    (folder / "a.npy").write_bytes(b"\x93NUMPY correct horse")
    assert "a.npy holds the value of MY_SERVICE_PASSWORD of the environment" in refusal(folder)
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "1")  # too short to mean anything
    refuse_private(folder, folder)
    monkeypatch.setenv("HF_TOKEN", "battery staple")
    (folder / "a.npy").write_bytes(b"\x93NUMPY battery staple")
    assert "your token for the Hub" in refusal(folder)


def safetensors(text):
    head = json.dumps({"__metadata__": {"from": text}}).encode()
    return struct.pack("<Q", len(head)) + head


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", lambda path: json.dumps({"anything": path}).encode()),
        ("run.json", lambda path: json.dumps({"flags": [f"the store in {path} was damaged"]}).encode()),
        ("run.json", lambda path: json.dumps({path: 1}).encode()),
        ("training.jsonl", lambda path: b'{"epoch": 1}\n' + json.dumps({"epoch": path}).encode()),
        ("recipe.yaml", lambda path: f"# from {path}\nname: x\n".encode()),
        ("README.md", lambda path: f'model = load("{path}")'.encode()),
        ("report.html", lambda path: f"<p>{path}</p><p>({path})</p>".encode()),
        ("model.safetensors", safetensors),
    ],
)
@pytest.mark.parametrize("path", ["/data/people/anna", "~/brains/store", "C:\\Users\\anna", "file:///mnt/x/y"])
def test_absolute_paths_are_found(folder, name, content, path):
    (folder / name).write_bytes(content(path))
    assert f"{name} holds an absolute path" in refusal(folder)


@pytest.mark.parametrize("said", ["damaged:\n{}", "where:\t{}", "store:{}", "a|{}|b", "„{}“", "in \\\\{}"])
@pytest.mark.parametrize("name", ["run.json", "training.jsonl"])
def test_paths_are_found_whatever_stands_before_them_in_an_entry(folder, name, said):
    path = "server\\people\\anna" if said.startswith("in ") else "/data/people/anna"
    (folder / name).write_text(json.dumps({"flags": [said.format(path)]}))
    assert f"{name} holds an absolute path" in refusal(folder)


def test_what_is_escaped_is_read_as_it_is_meant(folder):
    for said, what in (("at /data/people/anna", "an absolute path"), (TOKEN, "a Hugging Face token")):
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in said)
        (folder / "run.json").write_text(f'{{"note": "{escaped}"}}')
        assert f"run.json holds {what}" in refusal(folder)


@pytest.mark.parametrize("compression", ["NONE", "zstd"])
@pytest.mark.parametrize(("said", "what"), [("at /data/people/anna", "an absolute path"), (TOKEN, "a Hugging Face")])
def test_the_words_in_a_table_are_searched(folder, compression, said, what):
    table = pa.table({"n": [1, 2], "caption": pa.array(["a cat", said]).dictionary_encode()})
    pq.write_table(table, folder / "a.parquet", compression=compression)
    assert f"a.parquet holds {what}" in refusal(folder)


def test_what_a_picture_says_packed_is_searched_beside_and_inside_a_table(folder):
    said, file = PngInfo(), BytesIO()
    said.add_text("comment", f"with {TOKEN}", zip=True)
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=said)
    (folder / "a.png").write_bytes(file.getvalue())
    assert "a.png holds a Hugging Face token" in refusal(folder)
    (folder / "a.png").unlink()
    pq.write_table(pa.table({"image": [{"bytes": file.getvalue(), "path": "a.png"}]}), folder / "a.parquet")
    assert "a.parquet holds a Hugging Face token" in refusal(folder)


def test_short_absolute_paths_are_found_where_they_are_all_that_an_entry_says(folder):
    (folder / "run.json").write_text('{"store": "/data"}')
    assert "run.json holds an absolute path (/data)" in refusal(folder)


def test_the_metadata_of_pictures_and_tables_are_searched(folder):
    said = PngInfo()
    said.add_text("comment", "drawn in /data/people/anna", zip=True)
    Image.new("RGB", (4, 4)).save(folder / "a.png", pnginfo=said)
    assert "a.png holds an absolute path (/data/people/anna)" in refusal(folder)
    (folder / "a.png").unlink()
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({"from": "/data/people/anna"}), folder / "a.parquet")
    assert "a.parquet holds an absolute path (/data/people/anna)" in refusal(folder)


def test_folders_of_this_machine_are_found_in_any_file(folder, monkeypatch):
    (folder / "a.npy").write_bytes(b"\x93NUMPY" + str(folder.parent).encode() + b"/x")
    assert f"a folder of this machine ({folder.parent}/)" in refusal(folder)
    monkeypatch.chdir("/")
    refuse_private(folder, folder.parent.parent / "other" / "run")


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/user/name/tree/main and s3://bucket/key/x",
        "EEG/fMRI, 1/2/3, and/or/both, a/b/c.json",
        "<td>1</td><br/><img src='data:image/png;base64,/9j/4AAQ/AKIAA1B2A1B2A1B2A1B2/x/y'>",
        "at 10:30/11:00; ratio a:b; C: drive; //comment",
        "tower: openai/clip-vit-base-patch32, 4398e8129d6170c0ecbda40dda5e6ffd5be686b55c8bf07aa4db26d8ffd5c197",
    ],
)
def test_what_is_neither_is_let_pass(folder, text):
    (folder / "README.md").write_text(text)
    (folder / "run.json").write_text(json.dumps({"note": text}))
    (folder / "empty.npy").touch()
    (folder / "half.json").write_text('{"half of a letter": "\\ud800"}')
    (folder / "tokenizer.json").write_text('{"/a/b</w>": 1}')
    refuse_private(folder, folder)


def test_towers_and_pipelines_in_folders_keep_their_names(folder):
    recipe = "model:\n  tower: /data/people/anna/my-clip\n  kind: neuroclip\n"
    (folder / "recipe.yaml").write_text(recipe)
    (folder / "generation.json").write_text(json.dumps({"settings": {"pipeline": "C:\\models\\unclip", "steps": 20}}))
    (folder / "config.json").write_text('{"tower":   "small-clip"}')
    shorten_paths(folder)
    assert (folder / "recipe.yaml").read_text() == recipe.replace("/data/people/anna/", "")
    assert json.loads((folder / "generation.json").read_text())["settings"] == {"pipeline": "unclip", "steps": 20}
    assert (folder / "config.json").read_text() == '{"tower":   "small-clip"}'  # untouched
    refuse_private(folder, folder)


def test_a_file_that_cannot_be_read_is_named(folder):
    (folder / "run.json").write_text("{")
    with pytest.raises(InputError, match=re.escape("run.json")):
        refuse_private(folder, folder)
