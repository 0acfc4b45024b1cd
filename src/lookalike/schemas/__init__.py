"""What the service takes and gives, as pydantic models: the server's and the client's alike.

The words are those of the command line. Similarities are −1 … 1, shares and confidences 0 … 1.
"""
