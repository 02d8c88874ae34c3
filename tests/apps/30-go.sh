#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Go's net/http: busy, idle with open keep-alive connections, all processors busy; net.Interfaces.
. tests/apps/lib.sh
need go wrk curl
mkdir -p "$T/go"
cat >"$T/go/main.go" <<'END'
package main

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	http.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintln(w, host)
	})
	http.HandleFunc("/interfaces", func(w http.ResponseWriter, r *http.Request) {
		list, err := net.Interfaces()
		if err != nil {
			fmt.Fprintln(w, err)
		}
		for _, i := range list {
			addrs, err := i.Addrs()
			fmt.Fprintln(w, i.Name, i.Flags&net.FlagUp != 0, addrs, err)
		}
	})
	http.HandleFunc("/burn", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < runtime.GOMAXPROCS(0)*2; i++ {
			go func() {
				for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
				}
			}()
		}
		fmt.Fprintln(w, "burning")
	})
	fmt.Println(http.ListenAndServe(":8080", nil))
}
END
(cd "$T/go" && GO111MODULE=off GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o "$R/bin/server" main.go) >"$T/err" 2>&1 || { skip "apps: go cannot build"; exit 0; }
image go
start go 8080 /bin/server
url=http://127.0.0.1:$port
check "go: answers" until_true 20 curl -sf "$url/"
same "go: the client's address" "$(curl -s "$url/who")" 10.0.2.2
same "go: interfaces" "$(curl -s "$url/interfaces" | xargs)" "lo true [127.0.0.1/8 ::1/128] <nil> eth0 true [10.0.2.15/24] <nil>"
wrk_ok "go: 64 keep-alive connections" "$url/" 4 64
python3 tests/apps/clients.py idle "$port" 50 7 >"$T/idle" 2>&1 &
clients=$!
sleep 1
idle go
wait $clients
same "go: fifty idle connections cost nothing, and are answered" "$(cat "$T/idle")" "50 answered"
curl -sf "$url/burn" >/dev/null
check "go: answers while every processor is busy" timeout 2 curl -sf "$url/"
sleep 3
idle go
# The first process of its namespace is not ended by a signal that it does not handle; Go's run time ends with 2 then.
finish_app go 2
