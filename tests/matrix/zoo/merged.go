// SPDX-License-Identifier: Apache-2.0

// Parameters for which the debug information names another one's register, and such as it lists in another order.
package main

import "errors"

//go:noinline
func zInstead(err, cause error) error {
	if cause == nil {
		cause = err
	}
	use(1)
	return cause
}

//go:noinline
func zSwapped(a, b []int, n int) int {
	if len(a) < len(b) {
		a, b = b, a
	}
	for i := range b {
		n += a[i] - b[i]
	}
	use(n)
	return n + len(a) - len(b)
}

type zQuiet bool

// It is inlined in one place, which leaves the receiver without a name out of what its DIE refers to.
func (zQuiet) zSet(n *int, _ string, m int) int {
	*n += m
	return *n
}

var (
	quietly = zQuiet.zSet
	aSum    int
)

func init() {
	if len(shapes) > 1000 { // never: where nothing is inlined it would be a call
		aSum = zQuiet(true).zSet(&aSum, "", 1)
	}
	add("zInstead", func(t *trial) {
		for i, err := range []error{errors.New("first"), nil, errors.New("third")} {
			cause := error(nil)
			if i > 0 {
				cause = errors.New("cause")
			}
			err := err
			t.enter("err cause", &err, &cause)
			r0 := zInstead(err, cause)
			t.out("", &r0)
		}
	})
	add("zSwapped", func(t *trial) {
		var n int
		short, long := []int{t.round, 2}, []int{3, 5, 7}
		t.fill(&n)
		t.enter("a b n", &short, &long, &n)
		r0 := zSwapped(short, long, n)
		t.out("", &r0)
		t.enter("a b n", &long, &short, &n)
		r0 = zSwapped(long, short, n)
		t.out("", &r0)
	})
	add("zQuiet.zSet", func(t *trial) {
		var q zQuiet
		var n, m int
		var s string
		t.fill(&q, &n, &s, &m)
		at := &n
		t.enter("_0 n _2 m", &q, &at, &s, &m)
		r0 := quietly(q, at, s, m)
		t.out("", &r0)
	})
}
