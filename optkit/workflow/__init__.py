"""The composition root: wires passes, runtimes, metrics and emitters into the core.

Each module here is one thing that a user can ask for; the CLI only parses arguments and shows events.
"""
