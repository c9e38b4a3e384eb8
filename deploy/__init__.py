"""The deployments of the service: `local` as processes of one machine, `compose` in containers."""
