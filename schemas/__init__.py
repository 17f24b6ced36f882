"""Words and contracts that every part shares: enums, table schemas, the layout of a shard sample. Imports nothing of the project."""
