#!/usr/bin/env bash
# The main job, step by step. Called by `make demo`; the variables have defaults, so it also runs by itself.
set -euo pipefail
cd "$(dirname "$0")"
BIN=${BIN:-.venv/bin} OUTPUT=${OUTPUT:-demo} TASK=${TASK:-push} VARIANT=${VARIANT:-id} SEED=${SEED:-1000}

rm -rf "$OUTPUT/bag"
mkdir -p "$OUTPUT"

echo "1/4  rollout: the policy drives the simulated robot through ROS 2, everything is recorded"
"$BIN/firsthand" launch rollout task:="$TASK" variant:="$VARIANT" seed:="$SEED" bag:="$OUTPUT/bag" trials:=1 real_time_factor:="${SPEED:-1.0}"

echo "2/4  report: is the recording good?"
"$BIN/firsthand" report "$OUTPUT/bag" --json "$OUTPUT/report.json"

echo "3/4  film: what the robot saw, with the predicted hand trajectories"
"$BIN/firsthand-lab" film --bag "$OUTPUT/bag" --output "$OUTPUT/film.mp4" --picture "$OUTPUT/picture.png"

echo "4/4  open loop: what the policy would have said along the recording"
"$BIN/firsthand-lab" evaluate --recording "$OUTPUT/bag" --policy "$TASK" \
  --json "$OUTPUT/open_loop.json" --figure "$OUTPUT/open_loop.png" ||
  echo "     the computer was too busy to record without gaps; everything else is there"

echo
echo "done. $OUTPUT/film.mp4 shows the rollout, $OUTPUT/picture.png six moments of it, $OUTPUT/bag is the recording (MCAP)."
