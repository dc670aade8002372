"""A real ``relume live`` process, and a browser that looks at what it serves."""

import os
import re
import signal
import subprocess
import sys
import threading

TOKEN = "a-token-for-the-tests"  # noqa: S105

WATCH_FOR = """(text) => {
  window.seenAt = {};
  const look = () => {
    if (document.body.innerText.includes(text)) window.seenAt[text] ??= Date.now();
  };
  const all = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.body, all);
  look();
}"""
"""Keeps the time at which a text first stands on the page, in ``seenAt``."""


class LiveServer:
    """The server, in a folder; its address is known once it listens."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relume", "live", *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"RELUME_LIVE_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\S+/", self.said)
        assert found, self.said + self.process.stderr.read()
        self.address, self.port = found[0], int(found[1])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def end(self):
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        self.process.stderr.close()
        return code


class LiveVisit:
    """A live page in a browser; what it asked for and what went wrong is kept."""

    def __init__(self, browser, address, **context):
        self.context = browser.new_context(reduced_motion="reduce", **context)
        self.page = self.context.new_page()
        self.requests, self.faults = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def strangers(self):
        """What was asked for elsewhere than on this machine."""
        own = re.compile(r"http://127\.0\.0\.1:\d+/|data:")
        return [url for url in self.requests if not own.match(url)]
