// SPDX-License-Identifier: Apache-2.0

//go:build go1.23
// +build go1.23

// Loops over functions: the body of each is a function of its own, which gets what is yielded.
package main

//go:noinline
func zOver(each func(func(int, string) bool)) int {
	sum := 0
	for n, s := range each {
		use(len(s))
		sum += n
		if n < -1 {
			break
		}
	}
	return sum
}

func init() {
	add("zOver", func(t *trial) {
		each := func(yield func(int, string) bool) {
			for i := 3; i > -3; i-- {
				n, s := t.round*i, t.text()
				t.name = "main.zOver-range1"
				t.enter("n s", &n, &s)
				more := yield(n, s)
				t.out("", &more)
				if !more {
					break
				}
			}
			t.name = "main.zOver"
		}
		t.enter("each", &each)
		sum := zOver(each)
		t.out("", &sum)
	})
}
