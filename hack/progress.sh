#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# progress.sh TEXT COMMAND...: prints the text, runs the command, and prints the text again with the time every 15 s until it ends.
# For commands that download and compile without a word.
set -eu
text=$1
shift
echo "$text"
(
	seconds=0
	while sleep 15 >/dev/null 2>&1; do
		seconds=$((seconds + 15))
		echo "$text ($seconds s)"
	done
) &
ticker=$!
# A shell that dies of a signal runs no EXIT trap (dash), and a background job of a script ignores SIGINT.
trap 'kill $ticker' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$@"
