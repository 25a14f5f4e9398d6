// SPDX-License-Identifier: Apache-2.0

// Func values that captured something: it prints what each did, by name, "&x" where it shares the variable: what x is now.
package main

import (
	"encoding/json"
	"fmt"
)

type object map[string]interface{}

type Point struct{ X, Y int }

type Counter struct{ N int }

type Wide struct{ V [20]int }

type Shape interface{ Area(int) int }

func (c *Counter) Add(k int) int { c.N += k; return c.N }
func (c Counter) Read(k int) int { return c.N + k }
func (p Point) Area(k int) int   { return p.X * p.Y * k }

var sink int

// What each func value captured; the first is what the call is about.
func say(captured ...object) {
	line, err := json.Marshal(captured)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

//go:noinline
func one(f func(int) int) { sink += f(1) }

//go:noinline
func fields(f struct {
	Name string
	Do   func(int) int
}, fs []func(int) int) {
	sink += f.Do(1) + fs[0](2)
}

//go:noinline
func chain(f func(int) int) { sink += f(1) }

//go:noinline
func mapper(m map[string]func(int) int) { sink += m["f"](1) }

//go:noinline
func calls(n int, s string, list []string, p *Point, m map[string]int, x interface{}, b bool, f32 float32) {
	counter, name := n, "before"
	wide := Wide{}
	wide.V[3] = n
	where := Point{n, 2}

	say(object{"n": n})
	one(func(k int) int { return n + k })
	say(object{"s": s, "list": list})
	one(func(k int) int { return k + len(s) + len(list[0]) })
	say(object{"p": *p, "m": m})
	one(func(k int) int { return k + p.X + m["a"] })
	say(object{"b": b, "f32": f32})
	one(func(k int) int {
		if b {
			return k + int(f32)
		}
		return k
	})
	say(object{"&counter": counter, "&name": name, "n": n})
	one(func(k int) int { counter += k; name += "x"; return counter + n })
	say(object{"&counter": counter})
	one(func(k int) int { counter++; return counter })
	say(object{"x": x})
	one(func(k int) int { return k + x.(int) })
	inner := func(k int) int { return k + n }
	say(object{"inner": object{"n": n}, "s": s})
	one(func(k int) int { return inner(k) + len(s) })
	c := &Counter{n}
	say(object{"receiver": object{"N": n}})
	one(c.Add)
	say(object{"receiver": object{"N": 7}})
	one(Counter{7}.Read)
	var shape Shape = where
	say(object{"receiver": where})
	one(shape.Area)
	say(object{})
	one(plain)
	say(object{"n": n}, object{"s": s})
	fields(struct {
		Name string
		Do   func(int) int
	}{"name", func(k int) int { return k * n }}, []func(int) int{func(k int) int { return k * len(s) }})
	say(object{"n": n})
	mapper(map[string]func(int) int{"f": func(k int) int { return k - n }})
	// what the debug information may leave out or name for two things: never a wrong value
	say(object{"where": where})
	one(func(k int) int { return k + where.X })
	say(object{"wide": wide})
	one(func(k int) int { return k + wide.V[k%20] })
	say(object{"&where": where})
	one(func(k int) int { where.Y += k; return where.Y })
	var self func(int) int
	self = func(k int) int {
		if k <= 0 {
			return n
		}
		return self(k - 1)
	}
	say(object{"n": n})
	chain(self)
	sink += counter + len(name)
}

//go:noinline
func plain(k int) int { return k }

func main() {
	for i := 1; i <= 3; i++ {
		calls(100*i, fmt.Sprint("text ", i), []string{"a", "b"}, &Point{i, 9}, map[string]int{"a": i}, 40+i, i%2 == 0, float32(i)+0.5)
	}
	generic()
}
