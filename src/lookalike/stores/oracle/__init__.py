"""Collections in Oracle Database."""
