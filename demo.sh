#!/usr/bin/env bash
# The main job, step by step. Called by `make demo`; the variables have defaults, so it also runs by itself.
set -euo pipefail
cd "$(dirname "$0")"
BIN=${BIN:-.venv/bin} OUTPUT=${OUTPUT:-demo} TASK=${TASK:-push} VARIANT=${VARIANT:-id} SEED=${SEED:-1000}
CHECKPOINT=${CHECKPOINT:-checkpoints/$TASK}

if [ ! -f "$CHECKPOINT/manifest.json" ]; then
  shipped=$(ls checkpoints/*/manifest.json 2>/dev/null | cut -d/ -f2 | paste -sd' ')
  cat >&2 <<END
no checkpoint at $CHECKPOINT for TASK=$TASK; there is one for: ${shipped:-no task}
To make one, an hour or more on a CPU, \`make checkpoint TASK=$TASK\`, or step by step:
  $BIN/firsthand-lab demos --task $TASK --episodes 180 --output runs/$TASK/episodes
  $BIN/firsthand-lab train --episodes runs/$TASK/episodes --output runs/$TASK
  $BIN/firsthand-lab export --run runs/$TASK --output $CHECKPOINT
Another folder: make demo TASK=$TASK CHECKPOINT=folder
END
  exit 1
fi
if [ "${1:-}" = check ]; then exit; fi

rm -rf "$OUTPUT/bag"
mkdir -p "$OUTPUT"

echo "1/4  rollout: the policy drives the simulated robot through ROS 2, everything is recorded"
"$BIN/firsthand" launch rollout task:="$TASK" checkpoint:="$CHECKPOINT" variant:="$VARIANT" seed:="$SEED" bag:="$OUTPUT/bag" trials:=1 real_time_factor:="${SPEED:-1.0}"

echo "2/4  report: is the recording good?"
"$BIN/firsthand" report "$OUTPUT/bag" --json "$OUTPUT/report.json" | tee "$OUTPUT/report.txt"

echo "3/4  film: what the robot saw, with the predicted hand trajectories"
"$BIN/firsthand-lab" film --bag "$OUTPUT/bag" --output "$OUTPUT/film.mp4" --picture "$OUTPUT/picture.png"

echo "4/4  open loop: what the policy would have said along the recording"
"$BIN/firsthand-lab" evaluate --recording "$OUTPUT/bag" --policy "$CHECKPOINT" \
  --json "$OUTPUT/open_loop.json" --figure "$OUTPUT/open_loop.png" | tee "$OUTPUT/open_loop.txt" ||
  echo "     open loop failed, see above (a busy computer leaves gaps in a recording); everything else is there"

cat <<END

summary
$(grep '^trial ' "$OUTPUT/report.txt")
$(head -n 1 "$OUTPUT/report.txt"); $(grep '^dropped' "$OUTPUT/report.txt")
open loop along the recording: $(grep 'windows' "$OUTPUT/open_loop.txt")
$(grep '^  ' "$OUTPUT/open_loop.txt")

  $OUTPUT/film.mp4       the rollout: what the robot saw, the predicted trajectories of both hands, a visitor's view
  $OUTPUT/picture.png    six moments of it
  $OUTPUT/open_loop.png  errors along the horizon
  $OUTPUT/bag            the recording (rosbag2, MCAP), for Foxglove, rosbags and ros2 bag
END
