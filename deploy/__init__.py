"""The deployments of the service: `local` as processes of one machine, `compose` in containers.

private  files and folders that only this user may read
"""
