"""The demo in the browser: a recording picked or uploaded, what is found for it, and why."""
