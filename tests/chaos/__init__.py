"""A simulation of faults: gateways under load while everything around them fails, and a judge.

    plan (by seed) ──▶ faults ──▶ gateways, database, links, upstream, operator
                                      ▲
    clients, treasurer, keys ─────────┘ each keeps a record
                                            │
    records beside the ledger, by request ──▶ judge ──▶ report

Everything random comes from the seed. What stands in nobody's record is not judged.
"""
