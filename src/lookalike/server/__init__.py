"""The service: an inference endpoint, a search API, and a page, over HTTP.

Each request goes through the same `Session` as a command of the command line; what is added here is who may
ask, how much, and how the answer is written.
"""
