"""The store: sinks the derived topics into ClickHouse, and answers questions about them."""
