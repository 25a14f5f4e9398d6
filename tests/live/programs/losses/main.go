// SPDX-License-Identifier: Apache-2.0

// Losses calls three functions from several goroutines as fast as it can, one of them through another, and prints how often it called each.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	often  = 50021
	seldom = 10007
)

var outers, inners, alone int64

//go:noinline
func inner(n int) int {
	atomic.AddInt64(&inners, 1)
	return n + 1
}

//go:noinline
func outer(n int) int {
	atomic.AddInt64(&outers, 1)
	return inner(n) + inner(n+1)
}

//go:noinline
func lonely(n int) int {
	atomic.AddInt64(&alone, 1)
	return inner(n) - n
}

func main() {
	var wait sync.WaitGroup
	for i := 0; i < 3; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := 0; n < seldom; n++ {
				outer(n)
			}
		}()
	}
	for n := 0; n < often; n++ {
		lonely(n)
	}
	wait.Wait()
	fmt.Println("inner", inners)
	fmt.Println("outer", outers)
	fmt.Println("lonely", alone)
}
