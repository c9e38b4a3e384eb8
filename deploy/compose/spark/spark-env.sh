# Read by each of Spark's programs when it starts, and by the worker's health check. A container may be in several
# networks, and Spark would take the address of any: it takes the one on the way to the master, and listens there alone.
SPARK_LOCAL_IP="$(python3 -c '
import socket
way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
way.connect(("spark-master", 7077))  # sends nothing
print(way.getsockname()[0])
')" || exit 1
# By its address, not by a name that another container would have to look up.
SPARK_LOCAL_HOSTNAME="$SPARK_LOCAL_IP"
