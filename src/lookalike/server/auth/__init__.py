"""Authentication and authorization: API keys, browser sessions, hosts and origins."""
