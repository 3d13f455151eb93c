"""What we remember: plain SQL over PostgreSQL, one module per thing remembered."""
