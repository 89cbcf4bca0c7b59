"""What people look at and call: the query API and the live page, served by the store's process."""
