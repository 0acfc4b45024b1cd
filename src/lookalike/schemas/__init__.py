"""Requests and answers of the service as pydantic models, shared by server and client.

The words are those of the command line. Similarities are −1 … 1, shares and confidences 0 … 1.
"""
