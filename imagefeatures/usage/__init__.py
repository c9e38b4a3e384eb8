"""What work uses of a machine: time of its cores, memory, bytes, requests and energy.

meter      what a piece of work has used, between two readings
processes  core time and memory of this process and of the children that work for it
traffic    bytes and requests of this process, counted where they happen
energy     joules of the machine, where it tells them
drivers    what plan and the drivers of the steps have used, kept in the run's folder
"""
