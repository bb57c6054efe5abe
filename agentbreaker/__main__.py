"""``python -m agentbreaker``."""

from agentbreaker.cli import main

if __name__ == "__main__":
    main()
