// SPDX-License-Identifier: Apache-2.0

//go:build go1.19
// +build go1.19

package main

import "sync/atomic"

type zCounters struct {
	Calls  atomic.Int64
	Small  atomic.Int32
	Ready  atomic.Bool
	Holder atomic.Pointer[zPoint]
}

//go:noinline
func zAtomics(c *zCounters, n *atomic.Uint64) *zCounters { return c }

func init() {
	add("zAtomics", func(t *trial) {
		c, n := new(zCounters), new(atomic.Uint64)
		c.Calls.Store(int64(t.integer()))
		c.Small.Store(int32(t.round))
		c.Ready.Store(t.round%2 == 1)
		if t.round > 0 {
			c.Holder.Store(&zPoint{t.round, 5})
		}
		n.Store(t.integer())
		t.enter("c n", &c, &n)
		r0 := zAtomics(c, n)
		t.out("", &r0)
	})
}
