#!/usr/bin/env python3
"""The report in a browser, as somebody uses it: hover, click, drag, double click, filter, sort. It asks for nothing but itself."""
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

PATIENCE = 120  # seconds


class Browser:
    """Chromium without a window, by its DevTools protocol on two pipes: JSON, each message with a zero byte behind it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="rookery-browser-")
        to_it, self.to_it = os.pipe()
        self.from_it, from_it = os.pipe()

        def pipes():
            a, b = os.dup(to_it), os.dup(from_it)  # neither is 3 or 4 by accident
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             f"--user-data-dir={self.folder}", "--no-first-run", "--disable-background-networking", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=self.folder))
        os.close(to_it)
        os.close(from_it)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []
        page = next(one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=1300, height=1000, deviceScaleFactor=1, mobile=False)

    def next_message(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            if not select.select([self.from_it], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError("the browser says nothing")
            got = os.read(self.from_it, 1 << 16)
            if not got:
                raise AssertionError("the browser is gone")
            self.buffer += got
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_it, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next_message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.next_message())

    def value(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **{"button": "none", **more})

    def click(self, x, y, times=1):
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", buttons=1, clickCount=count)

    def drag(self, start, end):
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", *end, buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to_it)
        os.close(self.from_it)
        shutil.rmtree(self.folder, ignore_errors=True)


class Page(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        page = cls.session.folder / "run.html"
        cls.session.rookery("run", cls.session.scenario_with_cut_cables("browsed", 12, "n2", "n3"), "--report", page, code=1)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.browser.open(page)

    def at(self, machine, along):
        """The place of a moment in a machine's lane, which is brought into sight; `along` is 0 at the left edge and 1 at
        the right."""
        box = self.browser.value("(() => { document.getElementById('lanes').scrollIntoView({block: 'nearest'});"
                                 "const names = JSON.parse(document.getElementById('run').textContent).machines;"
                                 f"const i = names.findIndex((one) => one.name === '{machine}');"
                                 "const lane = document.getElementById('m' + i).getBoundingClientRect();"
                                 "const all = document.getElementById('lanes').getBoundingClientRect();"
                                 "return [all.left, all.width, lane.top + lane.height / 2]; })()")
        return box[0] + box[1] * along, box[2]

    def text(self, query):
        return self.browser.value(f"document.querySelector('{query}').textContent")

    def ticks(self):
        return self.browser.value("[...document.querySelectorAll('#axis span')].map((one) => parseFloat(one.textContent))")

    def lanes(self):
        """The names of the lanes that are seen, from the top."""
        return self.browser.value(
            "JSON.parse(document.getElementById('run').textContent).machines.map((one, i) => [one.name, document.getElementById('m' + i)])"
            ".filter(([, lane]) => lane.style.display !== 'none')"
            ".sort((a, b) => a[1].getBoundingClientRect().top - b[1].getBoundingClientRect().top).map(([name]) => name)")

    def fill(self, words):
        self.browser.value(f"(() => {{ const field = document.getElementById('filter'); field.value = '{words}';"
                           "field.dispatchEvent(new Event('input')); })()")

    def test_01_it_opens_without_a_network_and_without_a_complaint(self):
        asked = [event["params"]["request"]["url"] for event in self.browser.events if event.get("method") == "Network.requestWillBeSent"]
        self.assertEqual([url for url in asked if not url.startswith("file:") and url != "about:blank"], [])
        self.assertEqual(len([url for url in asked if url.startswith("file:")]), 1)
        self.assert_no_complaint()
        self.assertEqual(self.lanes()[:3], ["server", "n2", "n3"])  # what failed stands on top

    def assert_no_complaint(self):
        self.assertEqual([event for event in self.browser.events
                          if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")], [])

    def test_02_hovering_a_lane_says_what_was_then(self):
        self.browser.mouse("mouseMoved", *self.at("n1", 0.99))
        self.assert_has(self.text("#tip"), "n1", "ready at ")
        self.browser.mouse("mouseMoved", *self.at("n2", 0.999))
        self.assert_has(self.text("#tip"), "n2", "failed at ", "its link is down since", "fault: n2 down")
        self.assertFalse(self.browser.value("document.getElementById('tip').hidden"))
        self.browser.mouse("mouseMoved", 5, 5)
        self.assertTrue(self.browser.value("document.getElementById('tip').hidden"))

    def test_03_a_click_shows_its_times(self):
        self.browser.click(*self.at("n4", 0.5))
        self.assertEqual(self.text("#one h3"), "n4 (client)")
        stages = self.browser.value("[...document.querySelectorAll('#one tr td:first-child')].map((one) => one.textContent)")
        self.assertEqual(stages, ["firmware", "dhcp", "script", "kernel", "root", "ready"])
        # A name among the failures does the same.
        self.browser.value("[...document.querySelectorAll('.who')].find((one) => one.textContent === 'n3').click()")
        self.assert_has(self.text("#one"), "n3 (client)", "its link is down since")

    def test_04_dragging_looks_closer_and_a_double_click_goes_back(self):
        before = self.ticks()
        self.browser.drag(self.at("n6", 0.25), self.at("n6", 0.5))
        closer = self.ticks()
        self.assertGreater(closer[0], before[0])
        self.assertLess(closer[-1], before[-1])
        self.assertAlmostEqual((closer[0] + closer[-1]) / 2, before[-1] * 0.375, delta=before[-1] * 0.1)
        self.browser.click(*self.at("n6", 0.5), times=2)
        self.assertEqual(self.ticks(), before)

    def test_05_the_field_takes_names_stages_and_roles(self):
        everybody = self.lanes()
        for words, seen in (("failed", ["n2", "n3"]), ("n1*", ["n1", "n10", "n11", "n12"]), ("n7 server", ["server", "n7"]),
                            ("boot-server", ["server"]), ("nobody", []), ("n[", []), ("", everybody)):
            self.fill(words)
            self.assertEqual(self.lanes(), seen, words)
        self.assert_no_complaint()

    def test_06_lanes_can_be_sorted_and_made_thicker(self):
        order = "(() => { const field = document.getElementById('order'); field.value = '%s'; field.dispatchEvent(new Event('change')); })()"
        self.browser.value(order % "plan")
        self.assertEqual(self.lanes(), ["server"] + [f"n{i}" for i in range(1, 13)])
        height = self.browser.value("document.getElementById('lanes').getBoundingClientRect().height")
        self.browser.value("document.getElementById('thick').click()")
        self.assertGreater(self.browser.value("document.getElementById('lanes').getBoundingClientRect().height"), 1.5 * height)
        self.browser.value(order % "slow")
        self.assertEqual(set(self.lanes()[:2]), {"n2", "n3"})  # they never got ready
        self.assert_no_complaint()


if __name__ == "__main__":
    main(("chromium", "chromium"))
