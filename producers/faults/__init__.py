"""What goes wrong between a listen and the log: late and repeated sending, another service's report, poison."""
