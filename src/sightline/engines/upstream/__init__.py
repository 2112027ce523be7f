"""The engine whose models run elsewhere: a pool of OpenAI-compatible servers. `engine.py` first.

It only sends and receives, so it runs in the API's process. Text goes out neutralised (`reserved`), pictures as files
(`body`); what comes back is read in bulk (`exchange`, `wire`) and checked (`reckoning`). `pool` chooses among the
servers and keeps out those that fail, `server` is one of them, `discovery` asks what it has, `client` is the HTTP.
"""
