# SPDX-License-Identifier: Apache-2.0
# Who reaps: tini as a subreaper, orphans of PID 1, terminals that outlive their shell.
tini -s -- sh -c 'sleep 0.3 & exit 3'; echo $?
tmux new-session -d 'echo in tmux; sleep 5'; sleep 1; tmux capture-pane -p | head -n 1; tmux kill-server
screen -dmS x sleep 5; sleep 1; screen -ls | grep -c Detached; screen -S x -X quit
# prints:
# 3
# in tmux
# 1
