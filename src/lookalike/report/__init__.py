"""Reports: one HTML file that opens offline, in any browser."""
