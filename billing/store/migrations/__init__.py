"""Alembic's folder: plain SQL beside a short Python file for each step."""
