"""robots.txt: which URLs of an origin may be asked for, and with which preference on training.

RFC 9309; Content-Usage by draft-ietf-aipref-attach-05 (see `content_usage`). Protego decides which rule wins; this
module gives it the rules of the one group that applies, and finds the line to show.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from protego import Protego

from mlimg_build.fetch.rights.content_usage import Preference, signalled_preference, training_preference
from mlimg_build.fetch.rights.path_patterns import LONGEST_PATH, PathPattern, path_of_url
from mlimg_build.fetch.rights.robots_groups import LARGEST_ROBOTS, Field, Rule, decoded, group_of
from mlimg_build.fetch.rights.signals import Refusal, RightsPolicy

__all__ = [
    "CACHE_SECONDS",
    "LARGEST_ROBOTS",
    "MOST_REDIRECTS",
    "MOST_WILDCARDS",
    "Robots",
    "read_robots",
]

CACHE_SECONDS = 86_400.0  # RFC 9309, 2.4: no copy should be used for more than 24 hours
MOST_REDIRECTS = 5  # RFC 9309, 2.3.1.2: at least five, across hosts, too
MOST_WILDCARDS = 1_000  # rules of a group that are more than a prefix; they cost time for every URL
LONGEST_DELAY = 86_400.0  # seconds

_FIELD_NAMES: dict[Field, str] = {
    "allow": "Allow",
    "disallow": "Disallow",
    "content-usage": "Content-Usage",
    "content-signal": "Content-Signal",
    "crawl-delay": "Crawl-delay",
}


@dataclass(frozen=True, slots=True)
class UsageRule:
    """A preference on training for the paths of a pattern, and the rule that states it."""

    rule: Rule
    pattern: PathPattern
    preference: Preference


@dataclass(frozen=True, slots=True)
class Robots:
    """What the robots.txt of an origin means for one crawler.

    `denied` says why all is disallowed, whatever the rules (empty if it is not); with `temporary` because the file
    could not be read, which another time may change. `crawl_delay` is in seconds, None if none is given: no part of RFC
    9309, but many sites write it. The largest of several counts, up to a day.
    """

    policy: RightsPolicy
    agent: str = ""
    judge: Protego | None = None
    disallowed: tuple[tuple[Rule, PathPattern], ...] = ()
    usage: tuple[UsageRule, ...] = ()
    denied: str = ""
    temporary: bool = False
    crawl_delay: float | None = None

    def refusal(self, url: str) -> Refusal | None:
        """Return the rule that forbids to ask for a URL of this origin or to train with it, None if there is none.

        Takes time in proportion to the URL times the rules of the group, which are bounded. Never raises.
        """
        if self.judge is None and not self.usage and not self.denied:
            return None
        if self.policy.robots == "obey":
            if self.denied:
                return Refusal("robots", self.denied)
            if (self.judge or self.usage) and len(url) > LONGEST_PATH:
                return Refusal(
                    "robots", f"robots.txt has rules, and the URL is over {LONGEST_PATH} characters"
                )
        path = path_of_url(url[: LONGEST_PATH + 1])
        if self.policy.robots == "obey" and self.judge and not self.judge.can_fetch(f"http://h{path}", "*"):
            return Refusal("robots", self._disallowing(path))
        if self.policy.content_usage == "obey":
            for field in ("content-usage", "content-signal"):
                if found := self._usage(field, path):
                    return Refusal("content-usage", self._evidence(found))
        return None

    def _disallowing(self, path: str) -> str:
        """Name the longest Disallow rule that matches, the first of several."""
        found = [(rule, pattern) for rule, pattern in self.disallowed if pattern.matches(path)]
        found = (
            found
            or [  # Protego takes `$` at the end for the character, too
                (rule, pattern)
                for rule, pattern in self.disallowed
                if pattern.anchored and PathPattern.parse(f"{pattern.text[:-1]}%24").matches(path)
            ]
        )
        if not found:
            return f"robots.txt: a rule that disallows the path, for {self.agent}"
        return self._evidence(max(found, key=lambda one: one[1].length)[0])

    def _usage(self, field: str, path: str) -> Rule | None:
        """The rule that disallows training: of those with the longest pattern that matches, any (attach-05, 3.1)."""
        matching = [one for one in self.usage if one.rule.field == field and one.pattern.matches(path)]
        longest = max((one.pattern.length for one in matching), default=0)
        return next(
            (one.rule for one in matching if one.pattern.length == longest and one.preference == "disallow"),
            None,
        )

    def _evidence(self, rule: Rule) -> str:
        value = rule.value if len(rule.value) <= 100 else f"{rule.value[:99]}…"
        return f"robots.txt line {rule.line}: {_FIELD_NAMES[rule.field]}: {value} for {self.agent}"


def read_robots(status: int | None, body: bytes, policy: RightsPolicy) -> Robots:
    r"""Return what the answer for `/robots.txt` means; `status` is the last one after redirects, None if none came.

    RFC 9309, 2.3.1: 2xx has rules; 4xx is no file, so that all is allowed, and so is a redirect that was not followed
    to an end (more than `MOST_REDIRECTS`); 5xx, no answer and anything else is unreachable: all is disallowed for the
    time being. 429 counts as unreachable: the server says that it cannot answer now, not that it has no file.

    At most `LARGEST_ROBOTS` bytes are read, which bounds the rules. A group with more than `MOST_WILDCARDS` rules with
    wildcards is not followed in part: all is disallowed. (The 4,231 real files of Protego's tests have 572 at most.)

    >>> robots = read_robots(200, b"User-agent: *\nDisallow: /photos\nContent-Usage: train-ai=n", RightsPolicy())
    >>> robots.refusal("https://example.org/photos/1.jpg").evidence
    'robots.txt line 2: Disallow: /photos for *'
    >>> robots.refusal("https://example.org/1.jpg").evidence
    'robots.txt line 3: Content-Usage: train-ai=n for *'
    >>> read_robots(404, b"", RightsPolicy()).refusal("https://example.org/") is None
    True
    """
    if status is not None and (300 <= status < 429 or 429 < status < 500):
        return Robots(policy)
    if status is None or not 200 <= status < 300:
        answer = "no answer" if status is None else f"answered {status}"
        return Robots(policy, denied=f"robots.txt: {answer}, so all is disallowed for now", temporary=True)
    group = group_of(decoded(body), policy.product_token)
    delay = max((_seconds(rule.value) for rule in group.rules if rule.field == "crawl-delay"), default=-1.0)
    crawl_delay = delay if delay >= 0 else None
    by_text: dict[tuple[Field, str], Rule] = {}
    for rule in group.rules:
        if rule.field != "crawl-delay":
            by_text.setdefault((rule.field, rule.value), rule)
    paths = [
        (rule, PathPattern.parse(rule.value))
        for rule in by_text.values()
        if rule.field in ("allow", "disallow")
    ]
    paths = [(rule, pattern) for rule, pattern in paths if pattern.can_match]
    usage = tuple(_usage_rule(rule) for rule in by_text.values() if rule.field.startswith("content-"))
    if sum(not pattern.plain for _, pattern in paths) + len(usage) > MOST_WILDCARDS:
        denied = f"robots.txt: more than {MOST_WILDCARDS} rules with wildcards for {group.agent}, not followed in part"
        return Robots(policy, group.agent, denied=denied, crawl_delay=crawl_delay)
    return Robots(
        policy,
        group.agent,
        _judge(paths) if paths else None,
        tuple((rule, pattern) for rule, pattern in paths if rule.field == "disallow"),
        usage,
        crawl_delay=crawl_delay,
    )


def _judge(paths: list[tuple[Rule, PathPattern]]) -> Protego:
    """Protego over the rules alone, in canonical spelling: no line of a stranger reaches its parser as it was."""
    lines = [f"{rule.field}: {pattern.text}" for rule, pattern in paths]
    return Protego.parse("\n".join(["user-agent: *", *lines]))


def _usage_rule(rule: Rule) -> UsageRule:
    """A path is there if the value starts with `/`; it ends before the first space or tab (attach-05, 3.2)."""
    path, stated = "", rule.value
    if stated.startswith("/"):
        path, *rest = re.split("[ \t]+", stated, maxsplit=1)
        stated = rest[0] if rest else ""
    read = training_preference if rule.field == "content-usage" else signalled_preference
    return UsageRule(rule, PathPattern.parse(path), read(stated)[0])


def _seconds(text: str) -> float:
    """A delay in seconds, -1 if the text is none."""
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return min(value, LONGEST_DELAY) if math.isfinite(value) and value >= 0 else -1.0
