// SPDX-License-Identifier: Apache-2.0

// Structs and arrays that fit the registers or do not, with holes, nested, embedded, empty.
package main

type (
	zPoint struct{ X, Y int }
	zPad   struct {
		A int8
		B int64
		C int8
		D float32
		E bool
	}
	zHole struct {
		A int8
		_ int32
		B uint16
	}
	zInner struct {
		Name string
		At   zPoint
	}
	zNest struct {
		In  zInner
		Tag [1]int16
		End uint8
	}
	zEmbed struct {
		zPoint
		*zInner
		Own bool
	}
	zNone struct{}
	zTail struct {
		A int32
		Z zNone
	}
	zTwo    struct{ V [2]int16 }
	zFloats struct {
		X float32
		N int
		Y float64
		C complex64
	}
	zTen10 struct{ A, B, C, D, E, F, G, H, I, J int }
	zAll   struct {
		B   bool
		I8  int8
		U16 uint16
		S   string
		L   []byte
		P   *int
		F   float64
		I   int
	}
	zHuge struct {
		V [150]int64
		S string
	}
	zWideText struct {
		A, B, C, D string
		E          int
	}
	zNumber int32
	zName   string
	zList   []zNumber
)

//go:noinline
func zPoints(p, q zPoint) (zPoint, zPoint) { return q, p }

//go:noinline
func zPadded(p zPad) zPad { return p }

//go:noinline
func zHoles(h zHole, n int) (int, zHole) { return n, h }

//go:noinline
func zNested(n zNest) zNest { return n }

//go:noinline
func zEmbedded(e zEmbed) zEmbed { return e }

//go:noinline
func zEmpty(a int8, e zNone, b int16, f [0]int, c int32) (int32, zNone, [0]int, int8) {
	return c, e, f, a
}

//go:noinline
func zOnlyEmpty(e zNone) zNone { return e }

//go:noinline
func zTailed(a zTail, b int) (zTail, int) { return a, b }

//go:noinline
func zArrayTwo(a zTwo, b int) (int, zTwo) { return b, a }

//go:noinline
func zArrays(a [0]string, b [1]string, c [2]string, d int) ([2]string, [1]string, int) {
	return c, b, d
}

//go:noinline
func zArrayDeep(a [1][1]int8, b [1]zPoint, c [2]zPoint, d [3][2]float32) ([3][2]float32, [1]zPoint, [1][1]int8) {
	return d, b, a
}

//go:noinline
func zArrayLong(a [70]uint8, b int) (int, [70]uint8) { return b, a }

//go:noinline
func zFloatStruct(f zFloats, g zFloats) (zFloats, float64) {
	use(f.N)
	return g, f.Y
}

//go:noinline
func zTooMany(a int, b zTen10, c int) (zTen10, int) { return b, c }

//go:noinline
func zSecondFits(a zWideText, b zPoint, c zPoint) (zPoint, zWideText) { return b, a }

//go:noinline
func zEverything(a zAll) zAll { return a }

//go:noinline
func zHuges(h zHuge, n int) zHuge {
	h.V[0] = int64(n)
	return h
}

//go:noinline
func zDefined(n zNumber, s zName, l zList) (zList, zName, zNumber) { return l, s, n }

//go:noinline
func zAnonymous(a struct {
	X int
	S string
}) struct {
	X int
	S string
} {
	return a
}

//go:noinline
func (p zPoint) Value(d int) zPoint { return zPoint{p.X + d, p.Y} }

// Pointer is kept from being inlined below, as all methods here are.
//
//go:noinline
func (p *zPoint) Pointer(d int) *zPoint {
	p.X += d
	return p
}

//go:noinline
func (h zHuge) Last() int64 { return h.V[149] }

//go:noinline
func (zNone) Unnamed(a int8) int8 { return a }

//go:noinline
func (n zNumber) Add(m zNumber) zNumber { return n + m }

//go:noinline
func (s zName) With(other string) zName { return s + zName(other) }

//go:noinline
func (l *zList) Push(n zNumber) int {
	*l = append(*l, n)
	return len(*l)
}

//go:noinline
func (_ zPad) Blank(a, _ int) int { return a }

func init() {
	add("zPoints", func(t *trial) {
		var p, q zPoint
		t.in("p q", &p, &q)
		r0, r1 := zPoints(p, q)
		t.out("", &r0, &r1)
	})
	add("zPadded", func(t *trial) {
		var p zPad
		t.in("p", &p)
		r0 := zPadded(p)
		t.out("", &r0)
	})
	add("zHoles", func(t *trial) {
		var h zHole
		var n int
		t.in("h n", &h, &n)
		r0, r1 := zHoles(h, n)
		t.out("", &r0, &r1)
	})
	add("zNested", func(t *trial) {
		var n zNest
		t.in("n", &n)
		r0 := zNested(n)
		t.out("", &r0)
	})
	add("zEmbedded", func(t *trial) {
		var e zEmbed
		t.in("e", &e)
		r0 := zEmbedded(e)
		t.out("", &r0)
	})
	add("zEmpty", func(t *trial) {
		var a int8
		var e zNone
		var b int16
		var f [0]int
		var c int32
		t.in("a e b f c", &a, &e, &b, &f, &c)
		r0, r1, r2, r3 := zEmpty(a, e, b, f, c)
		t.out("", &r0, &r1, &r2, &r3)
	})
	add("zOnlyEmpty", func(t *trial) {
		var e zNone
		t.in("e", &e)
		r0 := zOnlyEmpty(e)
		t.out("", &r0)
	})
	add("zTailed", func(t *trial) {
		var a zTail
		var b int
		t.in("a b", &a, &b)
		r0, r1 := zTailed(a, b)
		t.out("", &r0, &r1)
	})
	add("zArrayTwo", func(t *trial) {
		var a zTwo
		var b int
		t.in("a b", &a, &b)
		r0, r1 := zArrayTwo(a, b)
		t.out("", &r0, &r1)
	})
	add("zArrays", func(t *trial) {
		var a [0]string
		var b [1]string
		var c [2]string
		var d int
		t.in("a b c d", &a, &b, &c, &d)
		r0, r1, r2 := zArrays(a, b, c, d)
		t.out("", &r0, &r1, &r2)
	})
	add("zArrayDeep", func(t *trial) {
		var a [1][1]int8
		var b [1]zPoint
		var c [2]zPoint
		var d [3][2]float32
		t.in("a b c d", &a, &b, &c, &d)
		r0, r1, r2 := zArrayDeep(a, b, c, d)
		t.out("", &r0, &r1, &r2)
	})
	add("zArrayLong", func(t *trial) {
		var a [70]uint8
		var b int
		t.in("a b", &a, &b)
		r0, r1 := zArrayLong(a, b)
		t.out("", &r0, &r1)
	})
	add("zFloatStruct", func(t *trial) {
		var f, g zFloats
		t.in("f g", &f, &g)
		r0, r1 := zFloatStruct(f, g)
		t.out("", &r0, &r1)
	})
	add("zTooMany", func(t *trial) {
		var a, c int
		var b zTen10
		t.in("a b c", &a, &b, &c)
		r0, r1 := zTooMany(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zSecondFits", func(t *trial) {
		var a zWideText
		var b, c zPoint
		t.in("a b c", &a, &b, &c)
		r0, r1 := zSecondFits(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zEverything", func(t *trial) {
		var a zAll
		t.in("a", &a)
		r0 := zEverything(a)
		t.out("", &r0)
	})
	add("zHuges", func(t *trial) {
		var h zHuge
		var n int
		t.in("h n", &h, &n)
		r0 := zHuges(h, n)
		t.out("", &r0)
	})
	add("zDefined", func(t *trial) {
		var n zNumber
		var s zName
		var l zList
		t.in("n s l", &n, &s, &l)
		r0, r1, r2 := zDefined(n, s, l)
		t.out("", &r0, &r1, &r2)
	})
	add("zAnonymous", func(t *trial) {
		var a struct {
			X int
			S string
		}
		t.in("a", &a)
		r0 := zAnonymous(a)
		t.out("", &r0)
	})
	add("zPoint.Value", func(t *trial) {
		var p zPoint
		var d int
		t.in("p d", &p, &d)
		r0 := p.Value(d)
		t.out("", &r0)
	})
	add("(*zPoint).Pointer", func(t *trial) {
		p := new(zPoint)
		var d int
		t.fill(p, &d)
		t.enter("p d", &p, &d)
		r0 := p.Pointer(d)
		t.out("", &r0)
	})
	add("zHuge.Last", func(t *trial) {
		var h zHuge
		t.in("h", &h)
		r0 := h.Last()
		t.out("", &r0)
	})
	add("zNone.Unnamed", func(t *trial) {
		var e zNone
		var a int8
		t.in("_0 a", &e, &a)
		r0 := e.Unnamed(a)
		t.out("", &r0)
	})
	add("zNumber.Add", func(t *trial) {
		var n, m zNumber
		t.in("n m", &n, &m)
		r0 := n.Add(m)
		t.out("", &r0)
	})
	add("zName.With", func(t *trial) {
		var s zName
		var other string
		t.in("s other", &s, &other)
		r0 := s.With(other)
		t.out("", &r0)
	})
	add("(*zList).Push", func(t *trial) {
		l := new(zList)
		var n zNumber
		t.fill(l, &n)
		t.enter("l n", &l, &n)
		r0 := l.Push(n)
		t.out("", &r0)
	})
	add("zPad.Blank", func(t *trial) {
		var p zPad
		var a, b int
		t.in("_0 a _2", &p, &a, &b)
		r0 := p.Blank(a, b)
		t.out("", &r0)
	})
}
