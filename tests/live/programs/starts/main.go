// SPDX-License-Identifier: Apache-2.0

// Goroutines that start goroutines: each line has who started whom.
package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

func goroutine() string {
	var text [64]byte
	return strings.Fields(string(text[:runtime.Stack(text[:], false)]))[1]
}

func start(depth int, all *sync.WaitGroup) {
	me := goroutine()
	all.Add(1)
	go func() {
		defer all.Done()
		fmt.Println(me, goroutine())
		for i := 0; i < depth; i++ {
			start(depth-1, all)
		}
	}()
}

func main() {
	var all sync.WaitGroup
	for i := 0; i < 23; i++ {
		start(3, &all)
	}
	all.Wait()
}
