"""The independent recomputation: what the store must hold, worked out again from the source log alone.

Plain fastavro, dictionaries and integers, written from the rules and not from the stages, none of which it imports:
it is what they are judged by. `pipeline.verify.verify.verify` is the way in.

playback-events ─► readlog ─► recompute ─► expected ─┐
                               store ─► rows ────────┴► compare ─► Verdict
"""
