#!/usr/bin/env bash
# Any CI: promotes, rolls back or holds by the verdict. Usage: gate.sh SERVICE VERSION [PROFILE]
# Replace the three echo lines by your own commands. STREAMS_BROKERS says where Kafka is.
set -uo pipefail
service=${1:?service}
version=${2:?version}

streams gate check --service "$service" --version "$version" --profile "${3:-default}" --wait "${GATE_WAIT_SECONDS:-1200}"
verdict=$?

case $verdict in
    0) echo "promote $service $version" ;;
    1) echo "roll back $service $version" ;;
    *) echo "hold $service $version: not decided" ;;
esac
exit "$verdict"
