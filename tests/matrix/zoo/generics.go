// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

// Generic functions and methods: the dictionary takes a register.
package main

type zNumeric interface {
	~int | ~int8 | ~uint16 | ~float64
}

type zPair[K comparable, V any] struct {
	Key   K
	Value V
}

type zStack[T any] struct {
	Items []T
	Limit int
}

//go:noinline
func zSum[T zNumeric](first T, xs ...T) T {
	for _, x := range xs {
		first += x
	}
	return first
}

//go:noinline
func zSwap[A, B any](a A, n int, b B) (B, A, int) { return b, a, n }

//go:noinline
func zMakePair[K comparable, V any](k K, v V) zPair[K, V] { return zPair[K, V]{k, v} }

//go:noinline
func zKeys[K comparable, V any](m map[K]V, n int) (keys []K) {
	for k := range m {
		keys = append(keys, k)
	}
	return
}

//go:noinline
func (p zPair[K, V]) With(v V, n int) zPair[K, V] { return zPair[K, V]{p.Key, v} }

//go:noinline
func (s *zStack[T]) Push(x T, n int8) *zStack[T] {
	s.Items = append(s.Items, x)
	s.Limit += int(n)
	return s
}

//go:noinline
func zTakesPair(p zPair[string, int], s *zStack[zPoint]) (*zStack[zPoint], zPair[string, int]) {
	return s, p
}

//go:noinline
func zAnyPair(a any) any { return a }

func sum[T zNumeric]() {
	add("zSum[...]", func(t *trial) {
		var first T
		var xs []T
		t.in("first xs", &first, &xs)
		r0 := zSum(first, xs...)
		t.out("", &r0)
	})
}

func swap[A, B any]() {
	add("zSwap[...]", func(t *trial) {
		var a A
		var n int
		var b B
		t.in("a n b", &a, &n, &b)
		r0, r1, r2 := zSwap(a, n, b)
		t.out("", &r0, &r1, &r2)
	})
}

func pair[K comparable, V any]() {
	add("zMakePair[...]", func(t *trial) {
		var k K
		var v V
		t.in("k v", &k, &v)
		r0 := zMakePair(k, v)
		t.out("", &r0)
	})
	add("zPair[...].With", func(t *trial) {
		var p zPair[K, V]
		var v V
		var n int
		t.in("p v n", &p, &v, &n)
		r0 := p.With(v, n)
		t.out("", &r0)
	})
}

func stack[T any]() {
	add("(*zStack[...]).Push", func(t *trial) {
		s := new(zStack[T])
		var x T
		var n int8
		t.fill(s, &x, &n)
		t.enter("s x n", &s, &x, &n)
		r0 := s.Push(x, n)
		t.out("", &r0)
	})
}

func init() {
	sum[int]()
	sum[int8]()
	sum[float64]()
	sum[zNumberSmall]()
	swap[int, string]()
	swap[string, zPoint]()
	swap[*int, []byte]()
	swap[float32, bool]()
	swap[zTwo, zNone]()
	pair[string, int]()
	pair[int, zInner]()
	pair[zPoint, *string]()
	stack[string]()
	stack[zPoint]()
	stack[float64]()
	add("zKeys[...]", func(t *trial) {
		var m map[string]int
		var n int
		t.in("m n", &m, &n)
		keys := zKeys(m, n)
		t.out("keys", &keys)
	})
	add("zTakesPair", func(t *trial) {
		var p zPair[string, int]
		var s *zStack[zPoint]
		t.in("p s", &p, &s)
		r0, r1 := zTakesPair(p, s)
		t.out("", &r0, &r1)
	})
	add("zAnyPair", func(t *trial) {
		for _, a := range []any{zPair[string, int]{"two", t.round}, &zStack[zPoint]{Limit: t.round}, zPair[zPoint, *zPair[int, bool]]{}} {
			a := a
			t.enter("a", &a)
			r0 := zAnyPair(a)
			t.out("", &r0)
		}
	})
}

type zNumberSmall uint16
