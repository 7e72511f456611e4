"""Runs and data to the Hub and back.

Nothing is changed where it lies: `run_contents` and `data_contents` put together, in a temporary folder, what goes up;
`neuroclip_hf.privacy` searches it for what must not; `pushing` and `pulling` talk to the Hub, and `problems` says in
words what may go wrong there.
"""

from neuroclip_hf.sharing.hub.pulling import pull_data, pull_run
from neuroclip_hf.sharing.hub.pushing import Push, push_data, push_run

__all__ = ["Push", "pull_data", "pull_run", "push_data", "push_run"]
