// SPDX-License-Identifier: Apache-2.0

// The zoo calls one function of each shape with seeded values and writes down what it passed and what it got back, as JSON lines in the
// tracer's format (docs/design.md, "JSON lines"). All functions to be traced have names that begin with z. What is written about a call
// is computed by its caller, before the call and after the return, so that the functions themselves stay ordinary optimised code.
// Builds with Go 1.15 and later.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

type shape struct {
	name string
	run  func(t *trial)
}

var shapes []shape

// With more than one instance of a function (generics) the name is that with [...] for the types.
func add(name string, run func(t *trial)) {
	shapes = append(shapes, shape{"main." + name, run})
}

// A trial is one call of one shape.
type trial struct {
	name  string
	round int
	calls []int // that have not returned yet
	rng   rng
}

var (
	out   *bufio.Writer
	depth = 4
	calls = 0
)

// Goid of the goroutine that runs, as its own stack trace gives it.
func goid() int {
	var text [64]byte
	words := bytes.Fields(text[:runtime.Stack(text[:], false)])
	n, err := strconv.Atoi(string(words[1]))
	if err != nil {
		panic(err)
	}
	return n
}

// In fills the variables with seeded values, and writes the call down.
func (t *trial) in(names string, vars ...interface{}) {
	t.fill(vars...)
	t.enter(names, vars...)
}

// Enter writes down a call that comes next. vars are pointers to the variables that are passed.
func (t *trial) enter(names string, vars ...interface{}) {
	calls++
	t.calls = append(t.calls, calls)
	t.line("call", calls, "args", names, vars)
}

// Out writes down the return of the latest open call. vars are pointers to the variables that hold the results.
func (t *trial) out(names string, vars ...interface{}) {
	t.line("return", t.pop(), "results", names, vars)
}

// Unwound writes down that the latest open call was left otherwise.
func (t *trial) unwound(how string) {
	fmt.Fprintf(out, `{"type":"return","goid":%d,"call":%d,"func":%s,"unwound":%q}`+"\n", goid(), t.pop(), quote(t.name), how)
}

func (t *trial) pop() int {
	call := t.calls[len(t.calls)-1]
	t.calls = t.calls[:len(t.calls)-1]
	return call
}

func (t *trial) line(kind string, call int, member string, names string, vars []interface{}) {
	p := printer{depth: depth}
	list := strings.Fields(names)
	for i, v := range vars {
		name := fmt.Sprintf("~r%d", i)
		if len(list) > 0 {
			name = list[i]
		}
		p.member(name, v)
	}
	fmt.Fprintf(out, `{"type":%q,"goid":%d,"call":%d,"func":%s,%q:{%s},"notes":{%s},"maps":[%s]}`+"\n",
		kind, goid(), call, quote(t.name), member, p.text, strings.Join(p.remarks, ","), strings.Join(p.maps, ","))
}

func main() {
	seed := flag.Uint64("seed", 1, "of the values")
	rounds := flag.Int("rounds", 7, "calls of each shape")
	path := flag.String("o", "", "file of the lines; else stdout")
	only := flag.String("only", "", "shapes whose names contain this")
	list := flag.Bool("list", false, "print the names of the shapes")
	flag.IntVar(&depth, "depth", depth, "pointer hops that are written")
	flag.Parse()
	if *list {
		for _, s := range shapes {
			fmt.Println(s.name)
		}
		return
	}
	file := os.Stdout
	if *path != "" {
		var err error
		if file, err = os.Create(*path); err != nil {
			panic(err)
		}
	}
	out = bufio.NewWriterSize(file, 1<<20)
	time.Now().Zone() // the local time zone is read when it is first asked for
	for round := 0; round < *rounds; round++ {
		for i, s := range shapes {
			if strings.Contains(s.name, *only) {
				s.run(&trial{name: s.name, round: round, rng: rng(*seed*1000003 + uint64(round)*1009 + uint64(i))})
			}
		}
	}
	if err := out.Flush(); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
}

// A pointer to a variable of the stack, and what it led to.
type stackPointer struct {
	addr uintptr
	to   interface{}
}

// AsIs writes down a call whose arguments were such pointers.
func (t *trial) asIs(names string, args ...stackPointer) {
	calls++
	t.calls = append(t.calls, calls)
	var members []string
	for i, name := range strings.Fields(names) {
		var to string
		switch v := args[i].to.(type) {
		case string:
			to = quote(v)
		default:
			to = strings.Join(strings.Fields(fmt.Sprint(v)), ",")
		}
		members = append(members, fmt.Sprintf(`%q:{"ptr":%s,"to":%s}`, name, hex(args[i].addr), to))
	}
	fmt.Fprintf(out, `{"type":"call","goid":%d,"call":%d,"func":%s,"args":{%s},"notes":{}}`+"\n",
		goid(), calls, quote(t.name), strings.Join(members, ","))
}

// Deep makes the stack grow by about n KiB.
//
//go:noinline
func deep(n int) int {
	var room [1000]byte
	room[n] = byte(n)
	if n > 0 {
		return deep(n-1) + int(room[n])
	}
	return 0
}
