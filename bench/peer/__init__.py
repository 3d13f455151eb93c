"""The peer: seat billing as a competent team would write it by hand, on Flask, Celery, Redis and PostgreSQL.

It counts seats and charges each join as it comes. It knows no late events, no renewals, no explanation: it is the
baseline for speed, and is given every ordinary optimisation (keep-alive, pools, prefetch, no result backend).
"""
