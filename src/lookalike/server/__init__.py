"""The HTTP service: a search API, an embedding endpoint, and a web page.

Each request goes through the same `Database` as a command of the command line; what is added here is who may
ask, how much, and how the answer is written.
"""
