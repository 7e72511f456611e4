"""A headless Chromium that a test drives through its own debugging protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from contextlib import ExitStack

from websockets.sync.client import connect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120
"""Seconds that a test waits for what it expects: a busy machine is slow, and a page that hangs is never ready."""


def find_browser():
    """Where a browser lies; None without one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Browser:
    """One page of a fresh profile."""

    def __init__(self, profile):
        command = [find_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        command += ["--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}", "about:blank"]
        self.running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.numbers, self.session = itertools.count(1), None
        self.opened = ExitStack()
        address = self._address(profile / "DevToolsActivePort")
        self.socket = self.opened.enter_context(connect(address, max_size=None))
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "DOM", "Runtime"):
            self.call(f"{domain}.enable")

    def _address(self, said):
        """Chromium writes its port, and the path of its debugger, into a file of the profile."""
        end = time.monotonic() + PATIENCE
        while not said.is_file() or len(lines := said.read_text().split()) < 2:
            assert self.running.poll() is None, "the browser ended"
            assert time.monotonic() < end, "the browser did not start"
            time.sleep(0.1)
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}"

    def call(self, method, **settings):
        """A command of the protocol, and its answer; events that come in between are left unread."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": settings}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address, width, height=900):
        """Open a page at a width in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=address)

    def run(self, code):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, code):
        """The value of an expression once it is one."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(code)):
            assert time.monotonic() < end, f"never came: {code}\n{self.run('document.body.innerText')}"
            time.sleep(0.2)
        return value

    def upload(self, selector, *files):
        """Choose files in a file input, as a visitor does."""
        node = self.call("DOM.getDocument")["root"]["nodeId"]
        found = self.call("DOM.querySelector", nodeId=node, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=found, files=[str(file) for file in files])

    def picture(self, path):
        """Save a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        """End the browser."""
        self.opened.close()
        self.running.terminate()
        self.running.wait(timeout=30)
