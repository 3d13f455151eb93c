"""What `verify` recomputes of one workspace: lines, chain, money, roster. Each check only reads and answers faults."""
