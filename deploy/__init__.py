"""How the service is run: `local` as plain processes of one machine, `compose` in containers."""
