"""The first administrator: made once, by whoever reads the server's terminal."""
