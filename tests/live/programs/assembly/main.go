// SPDX-License-Identifier: Apache-2.0

// Functions written in assembly, called from goroutines that know their ids; each call is printed as a line of JSON.
package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
)

func sum(a int, b uint8, s string) (int, bool)
func deep(n int) int
func up(n int) int

//go:noinline
func fromAssembly(n int) int { return n * 7 }

// Called through a variable a function of assembly needs a wrapper; called by name it needs none.
var hook = sum

func goid() int {
	var b [64]byte
	n := runtime.Stack(b[:], false)
	i, _ := strconv.Atoi(string(bytes.Fields(b[:n])[1]))
	return i
}

func calls(i int) {
	id := goid()
	s := "hello, world"[:5+i]
	r0, r1 := hook(id, uint8(i), s)
	fmt.Printf("{\"func\":\"main.sum\",\"goid\":%d,\"args\":[%d,%d,%q],\"results\":[%d,%v]}\n", id, id, i, s, r0, r1)
	r0, r1 = sum(-id, 255, s)
	fmt.Printf("{\"func\":\"main.sum\",\"goid\":%d,\"args\":[%d,255,%q],\"results\":[%d,%v]}\n", id, -id, s, r0, r1)
	fmt.Printf("{\"func\":\"main.deep\",\"goid\":%d,\"args\":[%d],\"results\":[%d]}\n", id, id, deep(id))
	fmt.Printf("{\"func\":\"main.up\",\"goid\":%d,\"args\":[%d],\"results\":[%d]}\n", id, id, up(id))
	fmt.Printf("{\"func\":\"main.fromAssembly\",\"goid\":%d,\"args\":[%d],\"results\":[%d]}\n", id, id, id*7)
}

func main() {
	done := make(chan bool)
	for i := 0; i < 7; i++ {
		go func(i int) {
			calls(i)
			done <- true
		}(i)
		<-done
	}
}
