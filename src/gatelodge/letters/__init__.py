"""Letters: what waits to be sent by e-mail, and how it is sent."""
