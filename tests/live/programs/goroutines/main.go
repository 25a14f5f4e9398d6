// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
)

//go:noinline
func hit(id int) int { return id + 1 }

func goid() int {
	var b [64]byte
	n := runtime.Stack(b[:], false)
	f := bytes.Fields(b[:n])[1]
	i, _ := strconv.Atoi(string(f))
	return i
}

func main() {
	var wg sync.WaitGroup
	x := 0
	for r := 0; r < 1009; r++ {
		for k := 0; k < 5; k++ {
			wg.Add(1)
			go func() {
				id := goid()
				for i := 0; i < 5; i++ {
					x += hit(id)
					if i == 2 {
						runtime.Gosched()
					}
				}
				wg.Done()
			}()
		}
		if r%3 == 0 {
			wg.Wait()
		}
	}
	wg.Wait()
	if x == 0 {
		panic("no call was made")
	}
}
