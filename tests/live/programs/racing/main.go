// SPDX-License-Identifier: Apache-2.0

// A map that one goroutine writes while others hold it: every element is seven times its key, or the key's own text.
package main

import (
	"flag"
	"fmt"
	"sync/atomic"
	"time"
)

//go:noinline
func look(m map[int]int, s map[string]string) { atomic.AddInt64(&sink, 1) }

var sink, stop int64

func write(m map[int]int, s map[string]string, keys int) {
	for i := 0; atomic.LoadInt64(&stop) == 0; i++ {
		k := i * 7919 % keys
		if i/keys%2 == 0 {
			m[k+1] = 7 * (k + 1)
			s[fmt.Sprint("key", k)] = fmt.Sprint("key", k)
		} else {
			delete(m, k+1)
			delete(s, fmt.Sprint("key", k))
		}
	}
}

func main() {
	n := flag.Int("n", 1009, "calls")
	keys := flag.Int("keys", 5, "in the map at most")
	flag.Parse()
	m, s := map[int]int{}, map[string]string{}
	go write(m, s, *keys)
	for i := 0; i < *n; i++ {
		look(m, s) // it looks at the map's address alone
		time.Sleep(10 * time.Microsecond)
	}
	atomic.StoreInt64(&stop, 1)
	fmt.Println(*n)
}
