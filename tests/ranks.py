"""Call a function of a test file on several processes: `ranks.py FILE FUNCTION FOLDER WORLD...`.

The libraries are imported once; every process is a fork. A process calls `FUNCTION(rank, world)` with a gloo group
around it (none if it is alone) and the variables that Accelerate reads. What it returns is saved as
`FOLDER/WORLD-RANK.pt`.
"""

import importlib.util
import os
import sys
import traceback

import torch


def load(file):
    specification = importlib.util.spec_from_file_location("on_ranks", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def one(function, folder, rank, world):
    os.environ["ACCELERATE_USE_CPU"] = "true"
    if world > 1:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ.update({name: str(value) for name, value in places.items()})
        store = f"file://{folder}/store-{world}"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    torch.save(function(rank, world), f"{folder}/{world}-{rank}.pt")
    if world > 1:
        torch.distributed.destroy_process_group()


def main(file, name, folder, *worlds):
    function = getattr(load(file), name)
    children = []
    for world in map(int, worlds):
        for rank in range(world):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    one(function, folder, rank, world)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
