"""HTTP: everything that requests and answers need before and after a room's own routes.

A request passes, from outside to inside: the fast door (`fast_door.py`), which answers usual
checks from memory; the shell (`shell.py`), which gives ids, enforces limits and adds headers;
CORS (`cors.py`); FastAPI's router; and the guard of the route (`door.py`). The guard asks
`admission.py`, which finds the token in a header or a cookie (`caller.py`, `cookies.py`), refuses
requests of other sites (`same_origin.py`) and asks the gate. Then the body is read (`bodies.py`,
`forms.py`) and the endpoint runs. A refusal becomes an answer in `responses.py`, which has the
HTTP status of every kind.

Above: `pages/` (HTML routes), `verify/`, `boards/`, `sessions/`, `sign_in/`, `me/`, `health/`:
all rooms with routes.
Below: `gate/`, which says who makes a request and what they may do; `tokens/`, for token pairs.
"""
