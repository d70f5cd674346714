"""The HTTP API and the UI's files.

request -> guards (size, headers) -> route -> access (who, role, CSRF) -> store / annotate / jobs / service -> view
                                        \\-> ApiError -> {"error": {"code", "message", "detail"}}

schemas   every body that goes in or out
errors    the one error shape
access    passwords, sessions, roles, CSRF, login rate
context   what the routes work with
views     database rows -> schemas
routes/   one file per noun
ui        the built UI, with SPA fallback
app       wiring
"""
