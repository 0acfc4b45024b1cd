"""Who may ask: keys, sessions of browsers, names and origins."""
