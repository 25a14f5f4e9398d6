// SPDX-License-Identifier: Apache-2.0

// Pointers: deep, in circles, nil, into stacks; slices and arrays of what pointers lead to.
package main

import "unsafe"

type zNode struct {
	Value int
	Label string
	Next  *zNode
}

type zTree struct {
	Left, Right *zTree
	Key         int16
}

type zSelf []zSelf

type zWide struct {
	ID   int
	Data [60]int32
	Name string
}

//go:noinline
func zPtr(p *int, q *string, r *float32) (*float32, *string, *int) { return r, q, p }

//go:noinline
func zPtrDeep(p **int, q ***int8, r ****bool) (****bool, **int) { return r, p }

//go:noinline
func zPtrStruct(p *zAll, q *zNest) (*zNest, *zAll) { return q, p }

//go:noinline
func zPtrArray(p *[3]string, q *[0]int, r *zNone) (*[3]string, *zNone) { return p, r }

//go:noinline
func zPtrSlice(p *[]int, q *[]string) (*[]string, *[]int) { return q, p }

//go:noinline
func zChain(n *zNode) *zNode {
	if n == nil {
		return nil
	}
	return n.Next
}

//go:noinline
func zTrees(r *zTree) *zTree { return r }

//go:noinline
func zSelves(s zSelf) zSelf { return s }

//go:noinline
func zSlicePoints(a []zPoint, b []*zPoint) ([]*zPoint, []zPoint) { return b, a }

//go:noinline
func zSliceNested(a []zInner, b [][]string, c [][2]int8) ([][2]int8, []zInner) { return c, a }

//go:noinline
func zSliceEmpty(a []zNone, b [][0]string, c []int) ([]int, []zNone) { return c, a }

//go:noinline
func zSliceWide(a []zWide) []zWide { return a }

//go:noinline
func zOnStack(p *[4]int, q *string) int { return p[1] + len(*q) }

func init() {
	add("zPtr", func(t *trial) {
		var p *int
		var q *string
		var r *float32
		t.in("p q r", &p, &q, &r)
		r0, r1, r2 := zPtr(p, q, r)
		t.out("", &r0, &r1, &r2)
	})
	add("zPtrDeep", func(t *trial) {
		var p **int
		var q ***int8
		var r ****bool
		t.in("p q r", &p, &q, &r)
		r0, r1 := zPtrDeep(p, q, r)
		t.out("", &r0, &r1)
	})
	add("zPtrStruct", func(t *trial) {
		var p *zAll
		var q *zNest
		t.in("p q", &p, &q)
		r0, r1 := zPtrStruct(p, q)
		t.out("", &r0, &r1)
	})
	add("zPtrArray", func(t *trial) {
		var p *[3]string
		var q *[0]int
		var r *zNone
		t.in("p q r", &p, &q, &r)
		r0, r1 := zPtrArray(p, q, r)
		t.out("", &r0, &r1)
	})
	add("zPtrSlice", func(t *trial) {
		var p *[]int
		var q *[]string
		t.in("p q", &p, &q)
		r0, r1 := zPtrSlice(p, q)
		t.out("", &r0, &r1)
	})
	add("zChain", func(t *trial) { // ends, is a ring, or ends in one
		a, b, c := &zNode{Value: 2, Label: "a"}, &zNode{Value: 3, Label: "b"}, &zNode{Value: 5, Label: "c"}
		a.Next, b.Next = b, c
		switch t.round % 4 {
		case 1:
			c.Next = a
		case 2:
			c.Next = c
		case 3:
			a.Next = a
		}
		t.enter("n", &a)
		r0 := zChain(a)
		t.out("", &r0)
	})
	add("zTrees", func(t *trial) {
		r := &zTree{&zTree{nil, nil, 1}, &zTree{&zTree{Key: 4}, nil, 3}, 2}
		if t.round%2 == 1 {
			r.Right.Right = r.Left // shared, no circle
			r.Left.Left = r
		}
		t.enter("r", &r)
		r0 := zTrees(r)
		t.out("", &r0)
	})
	add("zSelves", func(t *trial) {
		s := zSelf{nil, zSelf{}, zSelf{nil}}
		t.enter("s", &s)
		r0 := zSelves(s)
		t.out("", &r0)
	})
	add("zSlicePoints", func(t *trial) {
		var a []zPoint
		var b []*zPoint
		t.in("a b", &a, &b)
		r0, r1 := zSlicePoints(a, b)
		t.out("", &r0, &r1)
	})
	add("zSliceNested", func(t *trial) {
		var a []zInner
		var b [][]string
		var c [][2]int8
		t.in("a b c", &a, &b, &c)
		r0, r1 := zSliceNested(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zSliceEmpty", func(t *trial) {
		var a []zNone
		var b [][0]string
		var c []int
		t.fill(&a, &b)
		if t.round%2 == 1 {
			c = make([]int, 0, 3)
		}
		t.enter("a b c", &a, &b, &c)
		r0, r1 := zSliceEmpty(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zSliceWide", func(t *trial) {
		var a []zWide
		t.in("a", &a)
		r0 := zSliceWide(a)
		t.out("", &r0)
	})
	add("zOnStack", func(t *trial) {
		deep(30) // the stack is large enough now and does not move below
		local, text := [4]int{2, 3, 5, t.round}, "on the stack"
		// By their numbers: a pointer that is written down would move the variables to the heap.
		p, q := uintptr(unsafe.Pointer(&local)), uintptr(unsafe.Pointer(&text))
		r0 := zOnStack(&local, &text)
		after := uintptr(unsafe.Pointer(&local))
		if p != after {
			panic("the stack has moved")
		}
		t.asIs("p q", stackPointer{p, []int{2, 3, 5, t.round}}, stackPointer{q, "on the stack"})
		t.out("", &r0)
	})
}
