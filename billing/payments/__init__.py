"""Whom we ask for money: the outbound protocol, its callbacks, and a sandbox that speaks the same."""
