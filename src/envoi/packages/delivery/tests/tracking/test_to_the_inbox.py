"""From a reader's request to the process `track` to the indicators, every step real."""

import shutil

import pytest

from envoi.kernel import clock
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.tracking import running
from envoi.packages.delivery.testing import AGENT
from envoi.packages.delivery.tests.redirection.stage import READERS, Mailing, track
from envoi.packages.delivery.tests.tracking.stage import Post


def test_what_a_reader_does_is_in_the_indicators(committed_db, tmp_path):
    shutil.rmtree(committed_db.home / "tracking", ignore_errors=True)
    post = Post.sent(3)
    news = Mailing(post.delivery, tags.tags(committed_db.home, READERS), dict(post.links))
    with track(committed_db.home, tmp_path) as process:
        opened = process.ask(news.tag("open", log=post.messages[0]), User_Agent=AGENT)
        assert opened.status == 200
        clicked = process.ask(news.tag("coats", log=post.messages[0]), User_Agent=AGENT)
        assert clicked.status == 302
        cookies = "; ".join(f"{name}={value}" for name, value in clicked.cookies.items())
        bought = process.ask("/r/1?tagid=order|t&amount=12.5&article=3", User_Agent=AGENT, Cookie=cookies)
        assert bought.status == 200
        process.ask(news.tag("shoes", log=post.messages[1]), User_Agent="curl/8.5.0")
        process.ask(news.tag("leave", log=post.messages[2]), User_Agent=AGENT)
        process.hits(5)
    taken = running.at_once(now=clock.now())
    assert (taken.consumed, taken.logged, taken.visits, taken.automatic) == (5, 5, 1, 1)
    found = post.fresh()
    assert (found.recipient_open, found.total_recipient_open) == (2, 1)
    assert (found.recipient_click, found.total_recipient_click, found.person_click) == (1, 1, 1)
    assert (found.opt_out, found.transaction, found.amount, found.article) == (1, 1, 12.5, 3)


@pytest.mark.case("D37")
def test_a_line_that_is_none_stops_nothing(committed_db, tmp_path):
    from envoi.packages.delivery.services.hits.process import Process

    post = Post.sent(1)
    folder = tmp_path / "segments"
    folder.mkdir()
    hit = post.hit(0, "coats")

    def line(number: int) -> str:
        return (
            f"{number}\t{clock.now().isoformat()}\t0x{post.messages[0]:x}\t0x{post.delivery.pk:x}"
            f"\t0x{hit['url_id']:x}\t0\t{hit['source_id']}\t1\t\t{AGENT}\t192.0.2.1\t\tone"
        )

    (folder / "one.ready").write_text("\n".join([line(1), "spoilt\tline", line(2), ""]))
    Process(folder).once()
    taken = running.at_once(now=clock.now())
    assert (taken.consumed, taken.logged, post.fresh().total_recipient_click) == (2, 2, 2)
    assert (folder / "one.rejected").read_text() == "spoilt\tline\n"
