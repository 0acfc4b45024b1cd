"""What goes around every request: connections, limits, an id, a line in the log, figures."""
