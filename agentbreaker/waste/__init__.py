"""How much of a bill was meetings: recorded conversations are replayed, and every token is put where it belongs."""
