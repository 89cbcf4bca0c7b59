"""O6: lag is gone within the bound after the fault, without a hand's help, and work never rested longer than it may."""

from collections.abc import Sequence

from pipeline.drills.told import Sample, Verdict

NAME = "O6 liveness"
BEHIND_SECONDS = 5.0
"""While events still come, the store is always some behind: a batch must be classified, committed and inserted."""


def liveness(
    samples: Sequence[Sample], *, recovered: float, until_zero: float, silent: float, restarts: Sequence[str] = ()
) -> Verdict:
    """Judge the samples of a whole drill, drained at their end.

    `recovered`: the second when the last fault was over. Within `until_zero` seconds from then, lag must be zero and stay
    so: zero to BEHIND_SECONDS, that is, the store holds all that was produced so long before, and exactly zero at the end.
    `silent`: most seconds for which `applied` may stand still while there is lag; a broker that does not answer lets nothing
    pass, so these seconds count. `restarts`: what was restarted by hand.
    """
    silence, began = longest_silence(samples)
    caught = caught_up(samples, recovered)
    known = [sample for sample in samples if sample.produced is not None and sample.stored is not None]
    left = (known[-1].produced or 0) - (known[-1].stored or 0) if known else None
    wrong = [f"restarted by hand: {name}" for name in restarts]
    if left is None or known[-1].second < recovered:
        wrong.append("nobody saw how it stood after the fault")
    elif left > 0:
        wrong.append(f"{left:,} source offsets were not stored at the end")
    elif caught is None or caught - recovered > until_zero:
        took = "never" if caught is None else f"{caught - recovered:.0f} s after the fault"
        wrong.append(f"lag was zero {took}, {until_zero:.0f} s are allowed")
    if silence > silent:
        wrong.append(f"nothing was applied for {silence:.0f} s from second {began:.0f} on, {silent:.0f} s are allowed")
    figures: dict[str, int | float | str] = {
        "longest_silence_seconds": round(silence, 1),
        "silence_began_second": round(began, 1),
        "seconds_to_zero_lag": "never" if caught is None else round(max(0.0, caught - recovered), 1),
        "most_lag": max((max(0, (s.produced or 0) - (s.stored or 0)) for s in known), default=0),
        "unanswered_samples": len(samples) - len(known),
        "restarts": len(restarts),
    }
    if wrong:
        return Verdict(NAME, False, "; ".join(wrong), figures)
    sentence = (
        f"lag was zero {figures['seconds_to_zero_lag']} s after the fault ({until_zero:.0f} s allowed), "
        f"the longest silence {silence:.0f} s ({silent:.0f} s allowed), nothing restarted by hand"
    )
    return Verdict(NAME, True, sentence, figures)


def caught_up(samples: Sequence[Sample], recovered: float) -> float | None:
    """The second from `recovered` on since when the store was never more than BEHIND_SECONDS behind; None: never."""
    since: float | None = None
    for place, sample in enumerate(samples):
        if sample.second < recovered or sample.produced is None or sample.stored is None:
            continue
        if _behind(samples[: place + 1], sample.stored) > BEHIND_SECONDS:
            since = None
        elif since is None:
            since = sample.second
    return since


def _behind(seen: Sequence[Sample], stored: int) -> float:
    """Seconds since when more than `stored` was produced, as of the last of those seen; 0 where all is stored."""
    behind = 0.0
    for sample in reversed(seen):
        if sample.produced is not None:
            if sample.produced <= stored:
                break
            behind = seen[-1].second - sample.second
    return behind


def longest_silence(samples: Sequence[Sample]) -> tuple[float, float]:
    """The longest stretch in seconds in which there was something to apply and nothing was, and when it began."""
    longest = began = 0.0
    since: float | None = None
    applied = -1
    for sample in samples:
        known = sample.produced is not None and sample.applied is not None
        rests = known and sample.applied == sample.produced
        grew = sample.applied is not None and sample.applied > applied
        if since is not None and sample.second - since > longest:
            longest, began = sample.second - since, since
        if since is None or grew or rests:
            since = sample.second
        if sample.applied is not None:
            applied = max(applied, sample.applied)
    return longest, began
