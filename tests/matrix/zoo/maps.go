// SPDX-License-Identifier: Apache-2.0

// Maps: both layouts, nil to large, growing, and all sorts of keys.
package main

import (
	"fmt"
	"math"
)

type zHeader map[string][]string

//go:noinline
func zMapStringInt(m map[string]int) map[string]int { return m }

//go:noinline
func zMapIntString(m map[int]string, n int) (int, map[int]string) { return n, m }

//go:noinline
func zMapSmall(a map[bool]int8, b map[int8]uint16, c map[uint64]zNone) (map[uint64]zNone, map[bool]int8) {
	return c, a
}

//go:noinline
func zMapStruct(a map[zPoint]string, b map[[2]int16]bool) (map[[2]int16]bool, map[zPoint]string) {
	return b, a
}

//go:noinline
func zMapPointer(a map[*int]int, b map[string]*zPoint) (map[string]*zPoint, map[*int]int) {
	return b, a
}

//go:noinline
func zMapFloat(a map[float64]int) map[float64]int { return a }

//go:noinline
func zMapAny(a map[interface{}]int) map[interface{}]int { return a }

//go:noinline
func zMapList(h zHeader) zHeader { return h }

//go:noinline
func zMapMap(a map[string]map[int]bool) map[string]map[int]bool { return a }

//go:noinline
func zMapWide(a map[int][40]int, b map[[20]int64]int8) map[int][40]int { return a }

//go:noinline
func zMapPtr(a *map[string]int) *map[string]int { return a }

//go:noinline
func zMapGrowing(m map[int]int, n int) map[int]int {
	m[n] = -n
	return m
}

//go:noinline
func zMapGaps(m map[int]int) int { return len(m) }

func init() {
	sizes := []int{-1, 0, 1, 2, 7, 8, 9, 63, 100, 1000}
	for i := range sizes {
		n := sizes[i]
		add("zMapStringInt", func(t *trial) {
			var m map[string]int
			if n >= 0 {
				m = map[string]int{}
			}
			for i := 0; i < n; i++ {
				m[fmt.Sprintf("key %d", i)] = i * i
			}
			t.enter("m", &m)
			r0 := zMapStringInt(m)
			t.out("", &r0)
		})
		add("zMapIntString", func(t *trial) {
			var m map[int]string
			if n >= 0 {
				m = make(map[int]string, n)
			}
			for len(m) < n {
				m[int(t.rng.next())] = t.text()
			}
			t.enter("m n", &m, &n)
			r0, r1 := zMapIntString(m, n)
			t.out("", &r0, &r1)
		})
	}
	add("zMapSmall", func(t *trial) {
		var a map[bool]int8
		var b map[int8]uint16
		var c map[uint64]zNone
		t.in("a b c", &a, &b, &c)
		r0, r1 := zMapSmall(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zMapStruct", func(t *trial) {
		var a map[zPoint]string
		var b map[[2]int16]bool
		t.in("a b", &a, &b)
		r0, r1 := zMapStruct(a, b)
		t.out("", &r0, &r1)
	})
	add("zMapPointer", func(t *trial) {
		var a map[*int]int
		var b map[string]*zPoint
		t.in("a b", &a, &b)
		r0, r1 := zMapPointer(a, b)
		t.out("", &r0, &r1)
	})
	add("zMapFloat", func(t *trial) {
		a := map[float64]int{math.NaN(): 1, math.NaN(): 2, 0: 3, math.Inf(-1): 4, 0.1: 5}
		t.enter("a", &a)
		r0 := zMapFloat(a)
		t.out("", &r0)
	})
	add("zMapAny", func(t *trial) {
		a := map[interface{}]int{nil: 0, 1: 1, "one": 1, zPoint{1, 2}: 2, 2.5: 3}
		t.enter("a", &a)
		r0 := zMapAny(a)
		t.out("", &r0)
	})
	add("zMapList", func(t *trial) {
		h := zHeader{"Accept": {"text/html", "*/*"}, "Host": {"example.com"}, "None": nil}
		t.enter("h", &h)
		r0 := zMapList(h)
		t.out("", &r0)
	})
	add("zMapMap", func(t *trial) {
		a := map[string]map[int]bool{"nil": nil, "empty": {}, "two": {1: true, 2: false}}
		t.enter("a", &a)
		r0 := zMapMap(a)
		t.out("", &r0)
	})
	add("zMapWide", func(t *trial) { // keys and values of more than 128 bytes stand apart
		var a map[int][40]int
		var b map[[20]int64]int8
		t.in("a b", &a, &b)
		r0 := zMapWide(a, b)
		t.out("", &r0)
	})
	add("zMapPtr", func(t *trial) {
		a := &map[string]int{"two": 2, "three": 3}
		t.enter("a", &a)
		r0 := zMapPtr(a)
		t.out("", &r0)
	})
	add("zMapGrowing", func(t *trial) { // seen at every size: also while old buckets are still in use
		m := map[int]int{}
		for n := 0; n < 60; n++ {
			t.enter("m n", &m, &n)
			r0 := zMapGrowing(m, n)
			t.out("", &r0)
		}
	})
	add("zMapGaps", func(t *trial) { // deleted slots are no entries
		m := map[int]int{}
		for n := 0; n < 40; n++ {
			m[n] = n
		}
		for n := 0; n < 40; n += 1 + t.rng.below(3) {
			delete(m, n)
		}
		t.enter("m", &m)
		r0 := zMapGaps(m)
		t.out("", &r0)
	})
}
