// SPDX-License-Identifier: Apache-2.0

// Shapes has functions that take ever more to read: no step of the tracer's, one, a few, many, and what only the values in memory decide. It says "ready", waits for a line on stdin, calls
// `one` -n times, and prints "ns N", the time that took; then it calls the others once, and `two` from as many goroutines at once as -goroutines
// says, each with two texts of its own.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

var sink int

// A frame of its own, so that each function has a stack check and a site that need not be single-stepped.
//
//go:noinline
func none(n int) int {
	var frame [40]int
	frame[n%40] = n
	return frame[(n+1)%40]
}

//go:noinline
func one(s string, n int) int {
	var frame [40]int
	frame[n%40] = len(s)
	return frame[(n+1)%40]
}

//go:noinline
func two(a, b string, n int) (string, string) {
	var frame [40]int
	frame[n%40] = n
	if frame[(n+1)%40] != 0 {
		return a, b
	}
	return b, a
}

//go:noinline
func five(a, b, c, d, e string, n int) int {
	var frame [40]int
	frame[n%40] = len(a) + len(b) + len(c) + len(d) + len(e)
	return frame[(n+1)%40]
}

//go:noinline
func many(v [100]string, n int) int {
	var frame [40]int
	for i := range v {
		frame[(n+i)%40] += len(v[i])
	}
	return frame[n%40]
}

type pair struct {
	name string
	list []uint16
}

//go:noinline
func deep(v interface{}, pairs []pair, n int) int {
	var frame [40]int
	frame[n%40] = len(pairs)
	if v != nil {
		frame[n%40]++
	}
	return frame[(n+1)%40]
}

func main() {
	n := flag.Int("n", 1, "calls of one")
	goroutines := flag.Int("goroutines", 0, "that call two at once")
	flag.Parse()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')

	words := []string{"alpha", "beta", "gamma", "delta", "epsilon"}
	start := time.Now()
	for i := 0; i < *n; i++ {
		sink += one("sixteen bytes...", i)
	}
	fmt.Printf("ns %d\n", time.Since(start).Nanoseconds())

	sink += none(23)
	two(words[0], words[1], 1)
	sink += five(words[0], words[1], words[2], words[3], words[4], 5)
	var v [100]string
	for i := range v {
		v[i] = fmt.Sprintf("word %d", i)
	}
	sink += many(v, 100)
	sink += deep(pair{"first", []uint16{2, 3}}, []pair{{"second", nil}, {"third", []uint16{65521}}}, 7)
	var all sync.WaitGroup
	for i := 0; i < *goroutines; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			two("a"+strconv.Itoa(i), "b"+strconv.Itoa(i), i)
		}(i)
	}
	all.Wait()
}
