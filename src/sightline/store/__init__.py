"""The database: tables, connections, migrations. Queries live beside the domain that needs them."""
