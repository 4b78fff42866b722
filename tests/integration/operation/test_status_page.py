"""The status page, in a browser. PICTURES=folder keeps what it looks like."""

import os
import signal
from pathlib import Path

import pytest
from admin import ON, Admin
from browser import SPACE, START_LIMIT, TAB, Browser
from conftest import LIMIT
from finhold import route_to, wait_until
from reloading import Reloading


@pytest.fixture
def browser():
    signal.alarm(START_LIMIT)  # its start is not a part of the test
    made = Browser()
    signal.alarm(LIMIT)
    yield made
    made.close()


@pytest.fixture
def observed(start, server):
    finhold = start(route_to(server.address, "server", fin={"release_when_quiet": "never"}), admin=ON)
    return finhold, Admin(finhold)


def keep(browser, name):
    if folder := os.environ.get("PICTURES"):
        browser.picture(Path(folder) / f"{name}.png")


def half_closed(finhold, server):
    session = server.session(finhold.address())
    session.client.send(5000)
    session.server.receive(5000)
    session.client.finish()
    return session


def test_a_held_fin_appears_on_the_page_and_goes(observed, server, browser):
    finhold, admin = observed
    browser.open(admin.url)
    browser.await_text("#state", "ready")
    browser.await_text("#sessions", "none")
    session = half_closed(finhold, server)
    browser.await_text("#sessions", "FIN held for")
    assert "4.9 KiB" in browser.text("#sessions")
    assert browser.text("#routes .tag.held") == "1"
    keep(browser, "held")
    session.server.finish()
    session.client.expect_end()
    session.close()
    browser.await_text("#sessions", "FIN held", there=False)
    browser.await_text("#routes", "1 finished")
    assert browser.text("#routes .tag.held") == ""
    assert browser.complaints() == []


def test_a_removed_route_is_on_the_page_while_it_has_sessions(start, public_path, server, browser):
    main, old = route_to(server.address), route_to(server.address, name="old")
    finhold = Reloading(start, public_path / "reloaded.toml", main, old, admin=ON)
    session = server.session(finhold.finhold.address("old"))
    finhold.reload(main, admin=ON)
    browser.open(Admin(finhold.finhold).url)
    browser.await_text("#routes", "removed")
    assert browser.text("#routes tr:nth-child(2) th small") == "removed"
    session.close()
    browser.await_text("#routes", "removed", there=False)
    assert browser.complaints() == []


def test_it_is_used_by_keyboard_alone(observed, server, browser):
    finhold, admin = observed
    session, other = half_closed(finhold, server), server.session(finhold.address())
    browser.open(admin.url)
    browser.await_text("#count", "2 of 2 shown")
    browser.run("document.getElementById('routes').closest('.frame').focus()")
    browser.press(TAB)
    assert browser.run("return document.activeElement.id") == "filter"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("no such")
    browser.await_text("#count", "0 of 2 shown")
    browser.press("\ue003" * 7)  # backspace
    browser.await_text("#count", "2 of 2 shown")
    browser.press(TAB + SPACE)
    browser.await_text("#count", "1 of 2 shown")
    browser.press(TAB + SPACE)
    assert browser.run("return document.activeElement.getAttribute('aria-pressed')") == "true"
    session.close()
    other.close()


def test_on_a_phone_rows_are_cards_and_nothing_scrolls_sideways(observed, server, browser):
    finhold, admin = observed
    session = half_closed(finhold, server)
    browser.as_phone()
    browser.open(admin.url)
    browser.await_text("#sessions", "FIN held for")
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    assert browser.run("return getComputedStyle(document.querySelector('#sessions tr')).display") == "block"
    assert browser.run("return document.querySelector('#sessions td').dataset.label") == "Route"
    keep(browser, "phone")
    session.close()


def test_it_says_that_finhold_has_gone_and_what_is_old(start, server, browser):
    finhold = start(route_to(server.address), admin=ON)
    browser.open(Admin(finhold).url)
    browser.await_text("#state", "ready")
    finhold.signal()
    finhold.await_exit()
    browser.await_text("#problem", "does not answer")
    assert browser.text("#state") == "no answer"
    keep(browser, "gone")


def test_without_javascript_it_says_what_there_is_instead(observed, browser):
    _, admin = observed
    browser.without_scripts()
    browser.open(admin.url)
    assert "needs JavaScript" in browser.source() and "finhold status" in browser.source()


def test_text_of_a_configuration_is_text(start, browser):
    """A server's name can have no such characters; the page does not rely on that."""
    finhold = start(route_to("127.0.0.1:1"), admin=ON)
    browser.open(Admin(finhold).url)
    browser.await_text("#state", "ready")
    browser.run("""
        const bad = "<img src=x onerror=alert(1)>";
        const route = { ...last.routes[0], name: bad, server: bad };
        last = { ...last, routes: [route] };
        show();
    """)
    wait_until(lambda: "<img" in browser.text("#routes") or "main" in browser.text("#routes"))
    assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
