"""The engine whose models run elsewhere: a pool of OpenAI-compatible servers. `engine` first.

It only sends and receives, so it runs in the API's process. `relay` is the answer to one request, `exchange` one
attempt at one server: text goes out escaped (`escaping`), images as files (`body`), over `client`; what comes back is
decoded in bulk (`chunks`, `delta_reader`) and checked (`usage_bounds`). `pool` chooses among the servers and ejects
those that fail, `server` is one of them, `discovery` asks what it has.
"""
