// SPDX-License-Identifier: Apache-2.0

// Interfaces, with and without methods, and errors.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

type zArea interface{ Area() int }

type zSquare struct{ Side int }

//go:noinline
func (s zSquare) Area() int { return s.Side * s.Side }

type zRoom struct {
	Name  string
	W, H  int
	Owner *zInner
}

//go:noinline
func (r *zRoom) Area() int { return r.W * r.H }

type zSize int8

//go:noinline
func (s zSize) Area() int { return int(s) }

//go:noinline
func (n zNone) Area() int { return 0 }

type zOneWord struct{ P *int }

//go:noinline
func (o zOneWord) Area() int { return *o.P }

type zProblem struct {
	Code int
	Text string
}

func (p zProblem) Error() string { return fmt.Sprint(p.Code, ": ", p.Text) }

type zTrouble struct{ Cause error }

func (t *zTrouble) Error() string { return "trouble: " + t.Cause.Error() }

//go:noinline
func zAny(a interface{}) interface{} { return a }

//go:noinline
func zAnys(a interface{}, n int8, b interface{}, c []interface{}) ([]interface{}, interface{}) {
	return c, b
}

//go:noinline
func zVariadicAny(format string, args ...interface{}) int { return len(format) + len(args) }

//go:noinline
func zAreas(a zArea, b []zArea) (zArea, int) {
	if a == nil {
		return nil, 0
	}
	return a, a.Area()
}

//go:noinline
func zError(err error) error { return err }

//go:noinline
func zValueError(n int, err error) (int, error) {
	if n%2 == 0 {
		return n, nil
	}
	return 0, err
}

//go:noinline
func zReader(r io.Reader, w io.Writer) (io.Writer, io.Reader) { return w, r }

//go:noinline
func zHolder(h struct {
	A interface{}
	E error
}) interface{} {
	return h.A
}

//go:noinline
func zPtrAny(p *interface{}, q *error) (*error, *interface{}) { return q, p }

// Things of many dynamic types.
func things(t *trial) []interface{} {
	n, text, room := int(t.integer()), t.text(), &zRoom{"hall", 3, 5, &zInner{Name: "Ann"}}
	var none *zRoom
	var nothing *int
	return []interface{}{nil, n, int8(n), uint16(n), uint64(n), n%2 == 0, t.float(), float32(t.float()), complex(t.float(), 1), text, zName(text),
		[]byte(text), []int{n, 1}, []string(nil), [2]int{1, n}, [1]*int{&n}, [0]int{}, zNone{}, zPoint{1, n}, &zPoint{n, 2}, zSquare{n}, room, *room, none,
		nothing, zSize(n), zOneWord{&n}, &n, &text, rune('z'), uintptr(n), []interface{}{n, text, nil}, zHuge{S: text}, error(zProblem{n, text}),
		struct{ X, Y int }{n, n}, zNumber(n)}
}

func errorsToSee(t *trial) []error {
	base := errors.New("base " + t.text())
	var none *zTrouble
	one := fmt.Errorf("one: %w", base)
	_, missing := os.Open("/nonexistent/zoo")
	return append(moreErrors(base), nil, base, one, fmt.Errorf("two: %w", one), fmt.Errorf("no wrap %d", t.round), zProblem{int(t.integer()), t.text()},
		&zTrouble{base}, &zTrouble{&zTrouble{one}}, none, io.EOF, missing, syscall.ENOENT, syscall.Errno(0), &os.PathError{Op: "open", Path: "x", Err: io.EOF},
		&zProblem{3, "by pointer"})
}

func init() {
	add("zAny", func(t *trial) {
		for _, a := range things(t) {
			a := a
			t.enter("a", &a)
			r0 := zAny(a)
			t.out("", &r0)
		}
	})
	add("zAnys", func(t *trial) {
		all := things(t)
		a, b := all[t.rng.below(len(all))], all[t.rng.below(len(all))]
		n, c := int8(t.round), []interface{}{a, nil, 7, "seven", b}
		t.enter("a n b c", &a, &n, &b, &c)
		r0, r1 := zAnys(a, n, b, c)
		t.out("", &r0, &r1)
	})
	add("zVariadicAny", func(t *trial) {
		format, args := "%d %s %v", []interface{}{t.round, t.text(), nil}
		t.enter("format args", &format, &args)
		r0 := zVariadicAny(format, args[0], args[1], args[2])
		t.out("", &r0)
	})
	add("zAreas", func(t *trial) {
		n := 4
		b := []zArea{zSquare{3}, &zSquare{5}, &zRoom{"kitchen", 3, 7, nil}, zSize(9), zNone{}, &zNone{}, zOneWord{&n}}
		for i := -1; i < len(b); i++ {
			var a zArea
			if i >= 0 {
				a = b[i]
			}
			t.enter("a b", &a, &b)
			r0, r1 := zAreas(a, b)
			t.out("", &r0, &r1)
		}
	})
	add("zError", func(t *trial) {
		for _, err := range errorsToSee(t) {
			err := err
			t.enter("err", &err)
			r0 := zError(err)
			t.out("", &r0)
		}
	})
	add("zValueError", func(t *trial) {
		n, err := t.round, errors.New("odd")
		t.enter("n err", &n, &err)
		r0, r1 := zValueError(n, err)
		t.out("", &r0, &r1)
	})
	add("zReader", func(t *trial) {
		var r io.Reader = strings.NewReader("read me")
		var w io.Writer = bytes.NewBufferString("buffered")
		if t.round%2 == 1 {
			r, w = os.Stdin, nil
		}
		t.enter("r w", &r, &w)
		r0, r1 := zReader(r, w)
		t.out("", &r0, &r1)
	})
	add("zHolder", func(t *trial) {
		var h struct {
			A interface{}
			E error
		}
		all := things(t)
		h.A, h.E = all[t.rng.below(len(all))], io.ErrUnexpectedEOF
		t.enter("h", &h)
		r0 := zHolder(h)
		t.out("", &r0)
	})
	add("zPtrAny", func(t *trial) {
		var a interface{} = zPoint{t.round, 1}
		var err error = &zTrouble{io.EOF}
		p, q := &a, &err
		t.enter("p q", &p, &q)
		r0, r1 := zPtrAny(p, q)
		t.out("", &r0, &r1)
	})
}
