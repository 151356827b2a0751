"""Many reviews, few servers: batches, a cache, hedges, breakers. Knows token ids, not models.

    service    a cache of scores, and one asking for what several reviews want at once
    fleet      which server is asked, and when a second one
    batcher    one a server: what waits is sent together, or is refused while there is time
    breaker, latencies, lru, stats    one small idea each

Everything here runs on the library's own event loop and needs no locks.
"""
