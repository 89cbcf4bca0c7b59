"""One log, one set of rules, one source: what the newest outcomes say against what the settings and the broker say."""

from collections import defaultdict
from dataclasses import dataclass

from pipeline.codec.headers import HeaderError, TopHeaders
from pipeline.doctor.facts import Newest
from pipeline.doctor.findings import Finding, partitions
from pipeline.doctor.kafka import Kafka
from pipeline.doctor.tails import tails
from pipeline.rules import differences
from pipeline.settings import PREFIX, Settings
from pipeline.topics import topics_of

SUBJECT = "rules"
NEW_RUN = "begin a new run by LISTENING_RUN and replay into it"
_LISTS = 64
"""Lists from the end of `top-artists` that are looked at for a final one."""


@dataclass(frozen=True, slots=True)
class RulesFacts:
    """`source`: the id of the source topic, empty where there is none. `ends`: source partition → offset after its last.
    `finals`: final lists found at the ends of `top-artists`."""

    newest: Newest
    source: str
    ends: dict[int, int]
    finals: tuple[TopHeaders, ...] = ()


def gather(kafka: Kafka) -> RulesFacts:
    """Raises UnavailableError."""
    topics = topics_of(kafka.settings)
    source = kafka.topics.get(topics.events.name)
    newest = kafka.newest_plays
    ends = {number: end for (topic, number), end in kafka.ends().items() if topic == topics.events.name}
    shards = {number: bounds for (topic, number), bounds in kafka.bounds.items() if topic == topics.tops.name}
    lists = []
    for tail in tails(kafka.settings.bootstrap, topics.tops.name, shards, _LISTS, kafka.bounded.left):
        try:
            lists.append(TopHeaders.decode(tail.headers))
        except HeaderError:
            continue  # none of ours
    return RulesFacts(newest, source.id if source else "", ends, tuple(entry for entry in lists if entry.final))


def judge(facts: RulesFacts, settings: Settings) -> list[Finding]:
    """Findings of the rules, the window and the source topic."""
    findings = [*_rules(facts.newest, settings), *_window(facts.finals, settings), *_source(facts, settings)]
    if facts.newest.nameless:
        plays = topics_of(settings).plays.name
        found = (
            f"not checked for {plays} {partitions(facts.newest.nameless)}: none of the last {facts.newest.looked_at} "
            "records there is a worker's"
        )
        findings.append(
            Finding("warning", SUBJECT, found, f"find out who else writes to {plays}: workers pass over it, slowly")
        )
    if not findings and not facts.newest.headers:
        return [Finding("note", SUBJECT, "nothing was classified yet: any rules will do")]
    return findings or [
        Finding("ok", SUBJECT, "outcomes were decided under the rules of these settings, on this source topic")
    ]


def _rules(newest: Newest, settings: Settings) -> list[Finding]:
    differing: dict[str, list[int]] = defaultdict(list)
    for number, headers in sorted(newest.headers.items()):
        for difference in differences(settings.rules.fingerprint, headers.rules):
            differing[difference].append(number)
    return [
        Finding(
            "problem",
            SUBJECT,
            f"{difference} ({partitions(numbers)}): workers refuse to start",
            f"set {_variable(difference.partition(':')[0])} back, or {NEW_RUN}",
        )
        for difference, numbers in differing.items()
    ]


def _variable(rule: str) -> str:
    """What a rule follows from."""
    if rule == "plausibility":
        return "schemas/playback-events-value/limits.yaml"
    if rule == "partitions":
        return f"{PREFIX}PARTITIONS"
    if rule.endswith("_ms"):
        return f"{PREFIX}{rule.removesuffix('_ms').upper()}_SECONDS"
    return "the version of this project"


def _window(finals: tuple[TopHeaders, ...], settings: Settings) -> list[Finding]:
    ours = (settings.window_seconds * 1000, settings.top_k)
    for final in finals:
        if (final.window_ms, final.k) != ours:
            found = (
                f"final lists so far are of {final.k} artists over {final.window_ms // 1000} s, the settings say "
                f"{settings.top_k} over {settings.window_seconds} s: rank refuses to start"
            )
            remedy = f"set {PREFIX}TOP_K and {PREFIX}WINDOW_SECONDS back, or {NEW_RUN}"
            return [Finding("problem", SUBJECT, found, remedy)]
    return []


def _source(facts: RulesFacts, settings: Settings) -> list[Finding]:
    events = topics_of(settings).events.name
    if not facts.newest.headers:
        return []
    if not facts.source:
        return [Finding("problem", SUBJECT, f"{events} is gone, but outcomes of it are there", NEW_RUN)]
    made_anew = [p for p, headers in sorted(facts.newest.headers.items()) if headers.source not in ("", facts.source)]
    if made_anew:
        recorded = facts.newest.headers[made_anew[0]].source
        found = f"{events} was made anew: its id is {facts.source}, outcomes are of {recorded} ({partitions(made_anew)})"
        return [Finding("problem", SUBJECT, f"{found}: classify refuses to start", NEW_RUN)]
    return [
        Finding(
            "problem",
            SUBJECT,
            f"{events} partition {number} ends at {facts.ends.get(number, 0)}, outcomes reach to {headers.last + 1}: "
            "it was cut",
            NEW_RUN,
        )
        for number, headers in sorted(facts.newest.headers.items())
        if facts.ends.get(number, 0) < headers.last + 1
    ]
