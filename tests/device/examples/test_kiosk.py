"""The kiosk page in a real browser, on a broker with websockets: what it shows, and that nothing old is shown."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from affectd.publish.schema_bundle import message_schema
from e2e.program import RESTLESS, Affectd
from support.broker import Listener
from support.browser import Tab, browser_tab
from support.kiosk import WebBroker, address, kiosk_server
from support.media import write_clip
from support.scenes import scene

STATE, NOBODY = message_schema("state")["examples"]
(PEOPLE,) = message_schema("people")["examples"]
SIZES = ((1080, 1920), (1920, 1080), (390, 844))


@pytest.fixture
def web_broker(tmp_path: Path) -> Iterator[WebBroker]:
    with WebBroker(tmp_path) as broker:
        yield broker


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    with kiosk_server(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with browser_tab(*SIZES[0]) as opened:
        yield opened


@pytest.fixture
def tab(browser: Tab) -> Tab:
    """The one browser, empty: to start one takes seconds."""
    browser.page.goto("about:blank")
    browser.page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    browser.errors.clear()
    return browser


def wait_for(page: Page, **texts: str) -> None:
    """Wait until the parts of the page with these ids read so."""
    page.wait_for_function(
        "texts => Object.entries(texts).every(([id, text]) => document.getElementById(id).innerText === text)",
        arg=texts,
        polling=20,
    )


def show(sender: Listener, document: dict[str, Any], **changes: Any) -> None:
    sender.publish("affectd/box/state", json.dumps({**document, **changes}), retain=True)


def box(folder: Path, broker: WebBroker, clip: Path) -> Affectd:
    """Make a box that sees this clip over and over, and hears nothing."""
    camera = {"source": str(clip)}
    return Affectd(folder, broker, **RESTLESS, camera=camera, clip={"loop": True}, microphone={"source": "off"})


def test_it_follows_a_real_box_and_never_smiles_for_a_dead_one(
    web_broker: WebBroker, page: str, tab: Tab, tmp_path: Path
) -> None:
    somebody, nobody = [scene((320, 220, 170))] * 12, [scene()] * 30
    comes_and_goes = write_clip(tmp_path / "comes_and_goes.mp4", frames=nobody + somebody, fps=10)
    empty = write_clip(tmp_path / "empty.mp4", frames=nobody, fps=10)
    tab.page.goto(address(page, web_broker))
    wait_for(tab.page, word="Waiting")
    with box(tmp_path, web_broker, comes_and_goes) as daemon:
        wait_for(tab.page, word="Happy", people="1 person in view")
        wait_for(tab.page, word="Hello", people="Nobody in view", reason="Nobody is seen or heard.")
        wait_for(tab.page, word="Happy")
        daemon.kill()
        wait_for(tab.page, word="Offline", reason="The box does not answer.", people="", percent="")
    # Everything that the page shows from here on, for what lasts too short to be waited for.
    tab.page.evaluate(
        """() => { window.shown = []; const word = document.getElementById('word');
        new MutationObserver(() => shown.push(word.textContent)).observe(word, {childList: true, subtree: true}); }"""
    )
    with box(tmp_path, web_broker, empty) as daemon:
        wait_for(tab.page, word="Hello")
        daemon.send(signal.SIGTERM)
        wait_for(tab.page, word="Offline")
    assert not {"Happy", "Waiting"} & set(tab.page.evaluate("shown"))  # the smile that was retained, or nothing at all
    assert tab.errors == []


def test_every_emotion_and_reason_is_in_words_and_what_is_new_does_no_harm(
    web_broker: WebBroker, page: str, tab: Tab
) -> None:
    with Listener(web_broker, "unused") as sender:
        show(sender, STATE)
        sender.publish("affectd/box/availability", "online", retain=True)
        tab.page.goto(address(page, web_broker))
        wait_for(tab.page, word="Happy", reason="Shown by the person in front.", percent="98 % sure")
        for name in STATE["probabilities"]:
            show(sender, STATE, emotion=name, confidence=0.5, mood={"new": 1})
            tab.page.wait_for_function("name => document.body.dataset.emotion === name", arg=name)
            assert tab.page.inner_text("#word") != name
        for reason in message_schema("state")["$defs"]["reason"]["enum"]:
            if reason != "shown":
                show(sender, NOBODY, reason="elsewhere")
                wait_for(tab.page, word="Not sure", reason="elsewhere")
                show(sender, NOBODY, reason=reason)
                tab.page.wait_for_function("() => document.getElementById('reason').innerText.endsWith('.')")
                assert not tab.page.is_visible("#confidence")
        show(sender, STATE)
        for number in (1, 3):
            sender.publish("affectd/box/people", json.dumps({**PEOPLE, "count": number, "moods": []}))
            wait_for(tab.page, people="1 person in view" if number == 1 else "3 people in view")
        sender.publish("affectd/box/novelty", "{}")
        show(sender, STATE, emotion="constructor")
        wait_for(tab.page, word="constructor")
        show(sender, NOBODY, reason="constructor")
        wait_for(tab.page, word="Not sure", reason="constructor")
        for payload in ("<b>", "[", "null", '"happy"'):
            show(sender, STATE)
            wait_for(tab.page, word="Happy")
            sender.publish("affectd/box/state", payload)
            wait_for(tab.page, word="Waiting")
        show(sender, STATE, schema=2)
        wait_for(tab.page, word="Not readable")
        show(sender, STATE)
        for told, word in (("offline", "Offline"), ("online", "Waiting")):  # what it said before it died does not hold
            sender.publish("affectd/box/availability", told, retain=True)
            wait_for(tab.page, word=word)
        assert tab.errors == []


def test_without_a_broker_nothing_is_shown_and_it_comes_back(web_broker: WebBroker, page: str, tab: Tab) -> None:
    lost = "The broker cannot be reached. Trying again."
    with Listener(web_broker, "unused") as sender:
        show(sender, STATE)
        sender.publish("affectd/box/availability", "online", retain=True)
        tab.page.goto(address(page, web_broker))
        wait_for(tab.page, word="Happy")
        web_broker.kill()
        wait_for(tab.page, word="Offline", reason=lost, people="", percent="")
        web_broker.start()
        wait_for(tab.page, word="Happy")
        # As when a cable is pulled out: nothing closes the connection.
        web_broker.send(signal.SIGSTOP)
        wait_for(tab.page, word="Offline", reason=lost)
        web_broker.send(signal.SIGCONT)
        wait_for(tab.page, word="Happy")


def test_a_wrong_password_is_said_and_a_mended_one_comes_in(page: str, tab: Tab, tmp_path: Path) -> None:
    with WebBroker(tmp_path / "closed", user="kiosk", password="right") as broker:
        tab.page.goto(address(page, broker, user="kiosk", password="wrong"))
        wait_for(tab.page, word="Refused")
        broker.change_password("wrong")
        wait_for(tab.page, word="Waiting")


def test_a_page_that_is_not_set_up_says_what_to_do(page: str, tab: Tab, tmp_path: Path) -> None:
    tab.page.goto(page)
    wait_for(tab.page, word="Not set up", reason="The address of this page must name the box: kiosk.html#device=NAME")
    tab.page.goto(f"{page}?device=box&broker=localhost:9001")
    wait_for(tab.page, reason="The broker in the address of this page must begin with ws:// or wss://.")
    (tmp_path / "site" / "mqtt.min.js").unlink()
    tab.page.goto(f"{page}?device=box")
    wait_for(tab.page, word="Not set up", reason="mqtt.min.js does not lie beside this page.")


def test_all_fits_on_upright_lying_and_small_screens(web_broker: WebBroker, page: str, tab: Tab) -> None:
    with Listener(web_broker, "unused") as sender:
        show(sender, STATE, emotion="disgust")
        sender.publish("affectd/box/people", json.dumps(PEOPLE), retain=True)
        sender.publish("affectd/box/availability", "online", retain=True)
        for width, height in SIZES:
            tab.page.set_viewport_size({"width": width, "height": height})
            tab.page.goto("about:blank")
            tab.page.goto(address(page, web_broker))
            wait_for(tab.page, word="Disgusted", people="1 person in view")
            end = 0.0
            for part in ("svg", "#word", "#reason", "#confidence", "#people", "footer"):
                box = tab.page.locator(part).bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
                assert box["y"] >= end  # below the part before
                end = box["y"] + box["height"]
                assert box["height"] >= 12
            assert end <= height
