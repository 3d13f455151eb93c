"""Launchers of the embedded PostgreSQL and Valkey."""
