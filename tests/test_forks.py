"""A program that is run in a fork behaves as one that Python starts by itself."""

import os
import subprocess
import sys

PROGRAM = """
import json, os, sys
print(json.dumps([__name__, sys.argv, sys.path[0], os.getcwd()]))
print(json.dumps([os.environ["GIVEN"], os.environ.get("HOME"), sys.stdin.read()]))
print("said", file=sys.stderr)
if sys.argv[1] == "fails":
    raise KeyError("why")
sys.exit(int(sys.argv[1]) if len(sys.argv[1]) == 1 else sys.argv[1])
"""


def test_it_has_what_it_was_given_and_ends_as_it_would(forks, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | {"GIVEN": "\u00e9"}
    for words in (("3", "two words"), ("0", ""), ("fails",), ("ends",)):
        mine = forks.run(PROGRAM, *words, environment=environment, cwd=tmp_path)
        wanted = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert (mine.returncode, mine.stdout) == (wanted.returncode, wanted.stdout)
        assert mine.stderr.splitlines()[0] == "said"
        assert mine.stderr.splitlines()[-1] == wanted.stderr.splitlines()[-1]


def test_one_leaves_nothing_to_the_next(forks, tmp_path):
    change = "import builtins, os, sys, time\nbuiltins.left = time.sleep = os.environ['LEFT'] = sys.left = 'x'"
    look = (
        "import builtins, os, sys, time\nprint(hasattr(builtins, 'left'), callable(time.sleep), 'LEFT' in os.environ)"
    )
    forks.run(change, environment=os.environ, cwd=tmp_path).check_returncode()
    assert forks.run(look, environment=os.environ, cwd=tmp_path).stdout.split() == ["False", "True", "False"]


def test_one_that_takes_too_long_is_ended(forks, tmp_path):
    done = forks.run("import time\ntime.sleep(600)", environment=os.environ, cwd=tmp_path, timeout=1)
    assert done.returncode < 0


def test_no_settings_of_hugging_face_were_read_before(forks, tmp_path):
    program = "import sys\nprint('torch' in sys.modules, 'neuroclip_hf' in sys.modules)\n"
    program += "from huggingface_hub import constants\nprint(constants.ENDPOINT)"
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = forks.run(program, environment=environment, cwd=tmp_path)
    assert done.stdout.split() == ["True", "False", "http://127.0.0.1:9"]
