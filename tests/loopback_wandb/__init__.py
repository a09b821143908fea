"""A loopback test double of the W&B backend, for the unmodified wandb client.

It has no GraphQL schema: a query is parsed and walked over plain dicts whose values may be functions of the
field's arguments (`graphql.py`). A field the double does not know resolves to null and is counted, so that a
new client shows what is new instead of crashing.

    state.py      what the server remembers        projects.py   users, entities, projects
    runs.py       runs, history, files             history.py    history as the client asks for it
    artifacts.py  artifact mutations               nodes.py      artifacts as the client reads them
    sweeps.py     sweeps and agents                search.py     grid and random search
    views.py      reports and workspaces           filters.py    the run filters of `Api().runs()`
    schema.py     the roots of a query             server.py     HTTP, and misbehaviour on request
    fixture.py    the pytest fixtures

State is in memory; there is no authentication, no web page, no server-side Bayes or Hyperband search. It is a
test double and nothing else: not a place to keep results.
"""
