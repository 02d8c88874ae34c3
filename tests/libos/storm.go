// SPDX-License-Identifier: Apache-2.0
// Goroutines that call and compute while the collector stops the world again and again: pre-emption
// by signals, on stacks of Go's own.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

var kept int64

func main() {
	var calls int64
	var group sync.WaitGroup
	for worker := 0; worker < 10; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			x := 0
			for i := 0; i < 100000; i++ {
				if os.Getppid() < 0 {
					panic("getppid")
				}
				atomic.AddInt64(&calls, 1)
				if i%10000 == 0 {
					runtime.GC()
				}
			}
			for i := 0; i < 5000000; i++ {
				x ^= i
			}
			atomic.AddInt64(&kept, int64(x))
		}()
	}
	group.Wait()
	fmt.Println("done", calls)
}
